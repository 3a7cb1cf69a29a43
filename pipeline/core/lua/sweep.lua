-- ARGV: queue, depth, max_sends, lost_after_s, overtaken_after_s, grace_s
-- Returns four lists: to send again (id, entry, token, ...), put back, undeliverable jobs, expired jobs.
local queue, depth = ARGV[1], tonumber(ARGV[2])
local resend, returned, undeliverable, expired = {}, {}, {}, {}
if not is_reconciled() then return { resend, returned, undeliverable, expired } end

local function split(member) return string.match(member, '^([^/]+)/(.+)$') end

-- Dead: the lease has ended. After a restart of the server everybody gets the time to renew.
local uptime = tonumber(string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)'))
if uptime >= tonumber(ARGV[6]) then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', P .. 'running:' .. queue, '-inf', now)) do
    local id, entry = split(member)
    die(id, entry, record(id, entry))
    returned[#returned + 1] = member
  end
end

-- Overtaken: the newest time sent among those that began long enough ago. The queue is first in, first out.
local newest = number(redis.call('GET', P .. 'matured:' .. queue))
local began = P .. 'began:' .. queue
while true do
  local sent_at, begun_at = string.match(redis.call('LINDEX', began, 0) or '', '^(%S+) (%S+)$')
  if not sent_at or tonumber(begun_at) > now - tonumber(ARGV[5]) then break end
  redis.call('LPOP', began)
  newest = math.max(newest, tonumber(sent_at))
end
redis.call('SET', P .. 'matured:' .. queue, string.format('%.6f', newest))

local function is_lost(rec, key, sent_at)
  if sent_at < newest then return true end
  if depth > 0 then
    redis.call('HDEL', key, 'seen_empty')
    return false
  end
  if not rec.seen_empty then
    redis.call('HSET', key, 'seen_empty', string.format('%.6f', now))
    return false
  end
  return now - tonumber(rec.seen_empty) >= tonumber(ARGV[4])
end

local sent = redis.call('ZRANGE', P .. 'sent:' .. queue, 0, -1, 'WITHSCORES')
for i = 1, #sent, 2 do
  local id, entry = split(sent[i])
  local rec = record(id, entry)
  if rec and is_lost(rec, entry_key(id, entry), tonumber(sent[i + 1])) then
    if tonumber(rec.sends) >= tonumber(ARGV[3]) and entry ~= 'finalise' then -- a job must end
      drop(id, entry, rec)
      cancel_job(id, 'undeliverable', 'messages for this job were sent ' .. ARGV[3] .. ' times and nobody began')
      settle(id)
      undeliverable[#undeliverable + 1] = id
    else
      redis.call('HINCRBY', entry_key(id, entry), 'sends', 1)
      redis.call('HDEL', entry_key(id, entry), 'seen_empty')
      redis.call('ZADD', P .. 'sent:' .. queue, now, sent[i])
      for _, field in ipairs({ id, entry, rec.message }) do resend[#resend + 1] = field end
    end
  end
end

if queue == CONTROL then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'expiry', '-inf', now)) do
    redis.call('ZREM', P .. 'expiry', id)
    if cancel_job(id, 'expired', '') then expired[#expired + 1] = id end
  end
end
return { resend, returned, undeliverable, expired }
