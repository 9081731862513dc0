-- Replace a hold by what was used, in the slot where it was taken (R3). Whoever calls does so once.
--
-- KEYS: the group's epoch, the windows, then the leases of those that limit what is in flight.
-- ARGV: 1 the memory that the hold was taken in, 2 three doubles: when it was admitted, tokens held,
--   tokens used; then only with leases: 3 the process, 4 its lease's end, 5... its open requests,
--   per lease.
local call, unpack_, pack = redis.call, struct.unpack, struct.pack
local epoch = call('GET', KEYS[1])
-- Redis forgot it: what was held comes back settled, with the rest of its process's minute.
if not epoch or epoch:sub(1, #ARGV[1]) ~= ARGV[1] then return 0 end

local admitted, held, used = unpack_('<ddd', ARGV[2])
local count = #KEYS - 1 - math.max(0, #ARGV - 4)
for i = 2, count + 1 do
  local key = KEYS[i]
  local head = call('GETRANGE', key, 0, 71)
  if #head == 72 then
    local begins = unpack_('<d', head)
    if admitted >= begins then
      local t, h, o = unpack_('<ddd', head, 25)
      call('SETRANGE', key, 24, pack('<ddd', t + used - held, h - held, o - 1))
    else
      -- The first closed slot that ended at or after the hold's second began; it must be of it.
      local rows = call('GETRANGE', key, 72, -1)
      local second = admitted - admitted % 1000000
      local low, high = 0, #rows / 40
      while low < high do
        local middle = math.floor((low + high) / 2)
        if unpack_('<d', rows, middle * 40 + 1) < second then
          low = middle + 1
        else
          high = middle
        end
      end
      if low * 40 < #rows then
        local last, t, h, r, o = unpack_('<ddddd', rows, low * 40 + 1)
        if last < second + 1000000 then
          call('SETRANGE', key, 72 + low * 40, pack('<ddddd', last, t + used - held, h - held, r, o - 1))
          local past = unpack_('<d', head, 57)
          call('SETRANGE', key, 56, pack('<d', past + used - held))
        end
      end
    end
  end
end
for i = count + 2, #KEYS do
  local open = tonumber(ARGV[i - count + 3])
  if open > 0 then
    call('HSET', KEYS[i], ARGV[3], pack('<dd', open, ARGV[4]))
  else
    call('HDEL', KEYS[i], ARGV[3])
  end
end
return 1
