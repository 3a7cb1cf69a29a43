-- ARGV: id, entry, token, items joined by ","
if redis.call('HGET', entry_key(ARGV[1], ARGV[2]), 'token') ~= ARGV[3] then return 0 end
redis.call('HSET', entry_key(ARGV[1], ARGV[2]), 'native', ARGV[4])
return 1
