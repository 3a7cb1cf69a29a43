-- ARGV: id, plan_token, shards, items
local id = ARGV[1]
local fields = redis.call('HMGET', job_key(id), 'state', 'plan_token', 'queue', 'owner')
local state, queue, owner = fields[1], fields[3], fields[4]
if not state or ENDED[state] or fields[2] ~= '' then return 0 end
redis.call('HSET', job_key(id), 'plan_token', ARGV[2], 'shards', ARGV[3], 'entries', ARGV[3], 'items', ARGV[4])
if state == 'cancelling' then return 0 end
redis.call('HSET', job_key(id), 'state', 'running')
local waiting = waiting_key(queue, id)
for shard = 0, tonumber(ARGV[3]) - 1 do redis.call('RPUSH', waiting, shard) end
redis.call('HINCRBY', P .. 'backlog', queue, ARGV[3])
wake(queue, owner, id)
return 1
