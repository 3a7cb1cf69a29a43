-- ARGV: id, entry, token, result, succeeded, failed, cancelled, held items joined by ",", seconds
local id, entry, token, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fields = redis.call('HMGET', job_key(id), 'state', 'queue', 'owner', 'operation', 'rate', 'rate_at')
local state, queue, owner = fields[1], fields[2], fields[3]
if not state or ENDED[state] then return 'unknown' end
local rec = record(id, entry)

local function refuse(answer)
  if rec and rec.token == token then drop(id, entry, rec); settle(id) end
  return answer
end
local winner = redis.call('HGET', P .. 'finished:' .. id, entry)
if winner then return refuse(winner == result and 'already' or 'lost') end
if is_suspect(entry) then
  if redis.call('HEXISTS', P .. 'suspects:' .. id, entry) == 0 then return refuse('lost') end
else
  local held = ',' .. ARGV[8] .. ','
  for _, item in ipairs(suspects_of(id, entry)) do
    -- This run began before its items were told apart; another run of the shard leaves them out.
    if not string.find(held, ',' .. item .. ',', 1, true) then return 'lost' end
  end
end

redis.call('HSET', P .. 'finished:' .. id, entry, result)
redis.call('HDEL', P .. 'attempts:' .. id, entry)
redis.call('HINCRBY', job_key(id), 'finished', 1)
local items = 0
for i, name in ipairs({ 'succeeded', 'failed', 'cancelled' }) do
  items = items + tonumber(ARGV[4 + i])
  redis.call('HINCRBY', job_key(id), name, ARGV[4 + i])
end
-- A moving rate over about 30 s: each shard adds its items, and what was added fades.
local faded = number(fields[5]) * math.exp(-math.max(now - number(fields[6]), 0) / 30)
redis.call('HSET', job_key(id), 'rate', tostring(faded + items / 30), 'rate_at', string.format('%.6f', now))
if items > 0 and tonumber(ARGV[9]) > 0 then
  local pace = redis.call('HGET', P .. 'pace', fields[4])
  local measured = tonumber(ARGV[9]) / items
  redis.call('HSET', P .. 'pace', fields[4], tostring(pace and 0.8 * tonumber(pace) + 0.2 * measured or measured))
end
if rec then drop(id, entry, rec) else stop_waiting(queue, owner, id, entry) end
-- Also what it left out for a death that the server has forgotten with its last second.
for item in string.gmatch(ARGV[8], '%d+') do
  local suspect = entry .. '.' .. item
  if add_suspect(id, suspect) and state ~= 'cancelling' then wait_last(queue, owner, id, suspect) end
end
settle(id)
return 'won'
