-- Add slots that a process counted by itself to a window: what Redis forgot, or never heard of (R6).
--
-- KEYS: the group's epoch, the window.
-- ARGV: 1 the epoch, 2 slots (five doubles each: last admission, tokens, held, requests, open
--   holds), oldest first.
local call, unpack_, pack = redis.call, struct.unpack, struct.pack
call('SET', KEYS[1], ARGV[1], 'PX', 3600000)

local slots, order = {}, {}
local function add(last, tokens, held, requests, open)
  local second = last - last % 1000000
  local slot = slots[second]
  if slot then
    if last > slot[1] then slot[1] = last end
    slot[2], slot[3] = slot[2] + tokens, slot[3] + held
    slot[4], slot[5] = slot[4] + requests, slot[5] + open
  else
    slots[second] = {last, tokens, held, requests, open}
    order[#order + 1] = second
  end
end

local function add_all(rows, from)
  for at = from, #rows - 39, 40 do add(unpack_('<ddddd', rows, at)) end
end

local kept = call('GET', KEYS[2])
if kept then
  add_all(kept, 73)
  local _, last, requests, tokens, held, open = unpack_('<dddddd', kept)
  if requests > 0 then add(last, tokens, held, requests, open) end
end
add_all(ARGV[2], 1)
if #order == 0 then return 0 end
table.sort(order)

local rows, past_requests, past_tokens = {}, 0, 0
for i = 1, #order - 1 do
  local s = slots[order[i]]
  rows[i] = pack('<ddddd', s[1], s[2], s[3], s[4], s[5])
  past_requests, past_tokens = past_requests + s[4], past_tokens + s[2]
end
local begins = order[#order]
local s = slots[begins]
-- Turned at the next hold, whenever that is: the time for it is the second's beginning.
local head = pack('<ddddddddd', begins, s[1], s[4], s[2], s[3], s[5], past_requests, past_tokens,
  begins)
call('SET', KEYS[2], head .. table.concat(rows), 'PX', 62000)
return 1
