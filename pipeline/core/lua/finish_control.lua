-- ARGV: id, entry, token
local rec = record(ARGV[1], ARGV[2])
if not rec or rec.token ~= ARGV[3] then return 0 end
redis.call('HDEL', P .. 'attempts:' .. ARGV[1], ARGV[2])
drop(ARGV[1], ARGV[2], rec)
settle(ARGV[1])
return 1
