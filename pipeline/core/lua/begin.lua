-- ARGV: id, entry, token of the message, worker, nonce, fresh, lease_s, lease_max_s
-- Returns a reason, or {token, attempt, lease_s, held items, plan token}.
local id, entry, message, nonce = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local state = job_field(id, 'state')
if not state or ENDED[state] then return 'unknown' end
local rec = record(id, entry)

if redis.call('HEXISTS', P .. 'finished:' .. id, entry) == 1 then
  if rec and rec.message == message then drop(id, entry, rec); settle(id) end
  return 'finished'
end
if not rec or rec.message ~= message then return 'stale' end

local function answer()
  local shard = string.match(entry, '^%d+$') or string.match(entry, '^bury%.(%d+)$')
  local held = shard and table.concat(suspects_of(id, shard), ',') or ''
  return { rec.token, used_up(id, entry) + 1, rec.lease_s, held, job_field(id, 'plan_token') or '' }
end
if rec.state == 'running' then
  if rec.nonce == nonce then return answer() end
  if tonumber(rec.deadline) > now then return 'taken' end
end
if state == 'cancelling' and counts_for_job(entry) then
  drop(id, entry, rec)
  settle(id)
  return 'cancelled'
end
if rec.state == 'running' then
  local attempts, deaths = account_death(id, entry, rec)
  if attempts >= MAX_ATTEMPTS or deaths >= MAX_QUIET_DEATHS then
    drop(id, entry, rec)
    put_back(id, entry, rec, attempts, deaths)
    return 'stale'
  end
  rec.token = new_token(ARGV[6]) -- the dead one's late results are told from ours
end

rec.lease_s = tostring(math.min(tonumber(ARGV[7]) * 2 ^ used_up(id, entry), tonumber(ARGV[8])))
local deadline = string.format('%.6f', now + tonumber(rec.lease_s))
local sent_at = redis.call('ZSCORE', P .. 'sent:' .. rec.queue, id .. '/' .. entry)
if sent_at then
  redis.call('RPUSH', P .. 'began:' .. rec.queue, sent_at .. ' ' .. string.format('%.6f', now))
  redis.call('LTRIM', P .. 'began:' .. rec.queue, -256, -1)
end
redis.call('HSET', entry_key(id, entry), 'state', 'running', 'token', rec.token, 'nonce', nonce,
  'worker', ARGV[4], 'deadline', deadline, 'lease_s', rec.lease_s, 'native', '')
redis.call('ZREM', P .. 'sent:' .. rec.queue, id .. '/' .. entry)
redis.call('ZADD', P .. 'running:' .. rec.queue, deadline, id .. '/' .. entry)
if entry == 'plan' and state == 'accepted' then redis.call('HSET', job_key(id), 'state', 'planning') end
if is_work(entry) then redis.call('HSETNX', job_key(id), 'started_at', string.format('%.6f', now)) end
return answer()
