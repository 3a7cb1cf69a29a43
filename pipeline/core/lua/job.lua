-- ARGV: id. Returns {time, waiting entries, field, value, ...}, or nothing.
local flat = redis.call('HGETALL', job_key(ARGV[1]))
if #flat == 0 then return {} end
local waiting = redis.call('LLEN', waiting_key(job_field(ARGV[1], 'queue'), ARGV[1]))
return { string.format('%.6f', now), waiting, unpack(flat) }
