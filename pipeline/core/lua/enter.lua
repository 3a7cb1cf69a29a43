-- ARGV: id, owner, queue, operation, created_at, paused, priority, expires_at ("" for none)
local id, owner, queue = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', job_key(id)) == 1 then return 0 end
redis.call('HSET', job_key(id), 'owner', owner, 'queue', queue, 'operation', ARGV[4], 'created_at', ARGV[5],
  'paused', ARGV[6], 'priority', ARGV[7], 'expires_at', ARGV[8], 'state', 'accepted', 'plan_token', '',
  'in_flight', 0, 'finished', 0, 'entries', 0)
if ARGV[8] ~= '' then redis.call('ZADD', P .. 'expiry', ARGV[8], id) end
redis.call('SADD', P .. 'queues', queue)
wait_last(CONTROL, owner, id, 'plan')
return 1
