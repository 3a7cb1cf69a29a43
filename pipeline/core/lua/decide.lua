-- ARGV: id, paused, priority, expires_at ("" for none)
local id = ARGV[1]
local fields = redis.call('HMGET', job_key(id), 'state', 'queue', 'owner')
if not fields[1] or ENDED[fields[1]] then return 0 end
redis.call('HSET', job_key(id), 'paused', ARGV[2], 'priority', ARGV[3], 'expires_at', ARGV[4])
if ARGV[4] == '' then
  redis.call('ZREM', P .. 'expiry', id)
else
  redis.call('ZADD', P .. 'expiry', ARGV[4], id)
end
for _, queue in ipairs({ fields[2], CONTROL }) do
  unwake(queue, fields[3], id)
  wake(queue, fields[3], id) -- not while paused; at its new priority
end
return 1
