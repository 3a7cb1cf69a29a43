-- ARGV: queue, depth, nonce, least_slots, lost_after_s, beat_s. Returns a flat list: id, entry, token, ...
local queue, nonce = ARGV[1], ARGV[3]
if not is_reconciled() then return {} end

local slots = 0
for _, text in ipairs(redis.call('HVALS', P .. 'workers')) do
  local beat = cjson.decode(text)
  if beat.at > now - tonumber(ARGV[6]) then
    for _, served in ipairs(beat.queues) do
      if served == queue then slots = slots + beat.slots end
    end
  end
end

local running = redis.call('ZCARD', P .. 'running:' .. queue)
local lately = redis.call('ZCOUNT', P .. 'sent:' .. queue, now - tonumber(ARGV[5]), '+inf')
local room = math.max(slots, tonumber(ARGV[4])) - running - math.max(tonumber(ARGV[2]), lately)

local sendings = {}
while room > 0 do
  local owner = redis.call('ZRANGE', P .. 'owners:' .. queue, 0, 0)[1]
  if not owner then break end
  local id = redis.call('ZRANGE', P .. 'turn:' .. queue .. ':' .. owner, 0, 0)[1]
  local entry = redis.call('LPOP', waiting_key(queue, id))
  unwake(queue, owner, id)
  if entry then
    redis.call('HINCRBY', P .. 'backlog', queue, -1)
    local token = new_token(nonce)
    mark_sent(queue, owner, id, entry, token)
    wake(queue, owner, id) -- at the end of its owner's line
    for _, field in ipairs({ id, entry, token }) do sendings[#sendings + 1] = field end
    room = room - 1
  end
end
return sendings
