-- append(stream, totals, now_us, n, blob, before): adds one entry that holds n events (or audit records, or failed events).
-- before: the totals' {added, last_ms} as HMGET gives them, from a caller that has read them already.
--
-- The entry id is chosen here: <ms>-<added>, where added counts the events ever appended to this stream. So
--   * the event at place k (1..n) of an entry has an id of its own, <ms>-<added - n + k>, that no other event has;
--   * last-generated-id, last-delivered-id and the settled total give the stream's length, lag and pending in EVENTS,
--     without reading an entry, however many events an entry holds.
-- Returns ms, added. Raises only what Redis raises.
local function append(stream, totals, now_us, n, blob, before)
  before = before or redis.call('HMGET', totals, 'added', 'last_ms')
  local ms = math.max(math.floor(now_us / 1000), tonumber(before[2] or 0))
  local added = tonumber(before[1] or 0) + n
  local id = string.format('%.0f-%.0f', ms, added)
  local reply = redis.pcall('XADD', stream, id, 'n', n, 'e', blob)
  if type(reply) == 'table' and reply.err then
    -- Only another hand's entry, with an id ahead of ours, can bring this about: go on from that one.
    local info = redis.call('XINFO', 'STREAM', stream)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        ms = tonumber(string.match(info[i + 1], '^(%d+)')) + 1
      end
    end
    redis.call('XADD', stream, string.format('%.0f-%.0f', ms, added), 'n', n, 'e', blob)
  end
  -- After XADD: what a function wrote before it fails stays written.
  redis.call('HSET', totals, 'added', string.format('%.0f', added), 'last_ms', string.format('%.0f', ms))
  return ms, added
end

-- count_settled(totals, n): counts events as settled, never more than were added: an entry that another hand has put there
-- may claim to hold any number.
local function count_settled(totals, n)
  local settled = redis.call('HINCRBY', totals, 'settled', n)
  local added = tonumber(redis.call('HGET', totals, 'added') or 0)
  if settled > added then redis.call('HSET', totals, 'settled', string.format('%.0f', added)) end
end
