-- ARGV: a JSON object, see `Restore`; `finished` is a list of {entry, result, succeeded, failed, cancelled, held}
local wanted = cjson.decode(ARGV[1])
local id, owner, queue = wanted.job_id, wanted.owner, wanted.queue
local state = job_field(id, 'state')
if state and ENDED[state] then return 0 end
if not state then
  redis.call('HSET', job_key(id), 'owner', owner, 'queue', queue, 'operation', wanted.operation,
    'created_at', wanted.created_at, 'state', 'accepted', 'plan_token', '', 'in_flight', 0, 'finished', 0,
    'entries', 0)
end
redis.call('SADD', P .. 'queues', queue)
redis.call('HSET', job_key(id), 'paused', wanted.paused, 'priority', wanted.priority, 'expires_at',
  wanted.expires_at)
if wanted.expires_at ~= '' then
  redis.call('ZADD', P .. 'expiry', wanted.expires_at, id)
else
  redis.call('ZREM', P .. 'expiry', id)
end
if wanted.plan_token ~= '' and job_field(id, 'plan_token') == '' then
  redis.call('HSET', job_key(id), 'plan_token', wanted.plan_token, 'shards', wanted.shards, 'items', wanted.items)
  redis.call('HINCRBY', job_key(id), 'entries', wanted.shards)
  if job_field(id, 'state') ~= 'cancelling' then redis.call('HSET', job_key(id), 'state', 'running') end
end

for _, found in ipairs(wanted.finished) do
  local entry = found[1]
  if redis.call('HSETNX', P .. 'finished:' .. id, entry, found[2]) == 1 then
    redis.call('HINCRBY', job_key(id), 'finished', 1)
    for i, name in ipairs({ 'succeeded', 'failed', 'cancelled' }) do
      redis.call('HINCRBY', job_key(id), name, found[2 + i])
    end
    for _, item in ipairs(found[6]) do add_suspect(id, entry .. '.' .. item) end
    local rec = record(id, entry)
    if rec then drop(id, entry, rec) else stop_waiting(queue, owner, id, entry) end
  end
end

-- Whatever is nowhere waits again.
local function lines_up(line, entry, place)
  if not place[entry] and redis.call('EXISTS', entry_key(id, entry)) == 0
      and redis.call('HEXISTS', P .. 'finished:' .. id, entry) == 0
      and not place['bury.' .. entry] and redis.call('EXISTS', entry_key(id, 'bury.' .. entry)) == 0 then
    wait_last(line, owner, id, entry)
  end
end
local place = {}
for _, line in ipairs({ queue, CONTROL }) do
  for _, entry in ipairs(redis.call('LRANGE', waiting_key(line, id), 0, -1)) do place[entry] = true end
end
if job_field(id, 'state') == 'running' then
  for shard = 0, number(job_field(id, 'shards')) - 1 do lines_up(queue, tostring(shard), place) end
  for _, entry in ipairs(redis.call('HKEYS', P .. 'suspects:' .. id)) do lines_up(queue, entry, place) end
elseif job_field(id, 'state') ~= 'cancelling' then
  lines_up(CONTROL, 'plan', place)
end
if job_field(id, 'finalising') then lines_up(CONTROL, 'finalise', place) end
for _, line in ipairs({ queue, CONTROL }) do
  unwake(line, owner, id)
  wake(line, owner, id) -- paused and at the priority that storage says
end
if wanted.cancelled ~= '' then cancel_job(id, wanted.cancelled, '') end
settle(id)
return 1
