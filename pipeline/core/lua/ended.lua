-- ARGV: id, state ("" to forget the job), keep_s, total, succeeded, failed, cancelled
local id, state = ARGV[1], ARGV[2]
local fields = redis.call('HMGET', job_key(id), 'queue', 'owner')
if not fields[1] then return 0 end
for _, queue in ipairs({ fields[1], CONTROL }) do
  clear_waiting(queue, fields[2], id)
  for _, zset in ipairs({ 'sent:', 'running:' }) do
    for _, entry in ipairs(members_of(id, P .. zset .. queue)) do drop(id, entry, record(id, entry)) end
  end
end
redis.call('DEL', P .. 'finished:' .. id, P .. 'attempts:' .. id, P .. 'suspects:' .. id)
redis.call('ZREM', P .. 'expiry', id)
if state == '' or tonumber(ARGV[3]) <= 0 then return redis.call('DEL', job_key(id)) end
redis.call('HSET', job_key(id), 'state', state, 'items', ARGV[4], 'succeeded', ARGV[5], 'failed', ARGV[6],
  'cancelled', ARGV[7])
redis.call('EXPIRE', job_key(id), math.ceil(tonumber(ARGV[3])))
return 1
