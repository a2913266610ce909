-- publish: everything that one publisher call does to one shard, atomically.
--
-- For each request in order: backlog limit, sliding window, early duplicate filter; then one entry with all new events
-- of the call and one entry with the audit records of its requests. Either all of it happens or none.
--
-- KEYS[1] events stream   KEYS[2] its totals   KEYS[3] audit stream   KEYS[4] its totals
-- KEYS[5] ids             KEYS[6] ids before   KEYS[7..] limit lists
-- ARGV[1] msgpack {backlog_limit, ids_max, ids_window_us}
-- ARGV[2] msgpack list of requests {
--   limit_place   place in KEYS of the limit list, 0 for none
--   limit, window_us
--   status        of the answer when nothing here refuses it
--   error         the same: problem type or ''
--   ids           list of 'client NUL event_id' in order, {} when the request brings no events
--   audit, head, events   the lengths in ARGV[3] of
--     audit       msgpack bytes of the record up to, not including, its status and error
--     head        msgpack bytes of the block up to, not including, its list of events
--     events      msgpack bytes of that list; after them the CRC-32 of each payload, 4 bytes each }
-- ARGV[3] the bytes of all requests, one after the other (Redis' cmsgpack does not read msgpack's binary type)
-- Returns msgpack {ms, list of results {outcome, remaining, reset_us, last, kept, duplicates}}
--   outcome 0 done, 1 rate limited, 2 backlog full; ms-(last - kept + k) is the id of the k-th kept event
--   duplicates: list of {place, ms, seq, same} with place from 0 and same = 1 if the payload's CRC is the first one's
local ACCEPTED, LIMITED, BACKLOG = 0, 1, 2

local function count_header(n)
  return '\221' .. struct.pack('>I4', n) -- msgpack array 32
end

local function rotate_ids(ids, before, totals, now_us, ids_max, window_us)
  local since = tonumber(redis.call('HGET', totals, 'ids_since') or 0)
  if now_us - since >= window_us or redis.call('HLEN', ids) >= ids_max / 2 then
    redis.call('UNLINK', before)
    if redis.call('EXISTS', ids) == 1 then redis.call('RENAME', ids, before) end
    redis.call('HSET', totals, 'ids_since', string.format('%.0f', now_us))
  end
end

-- Bytes after the first of a msgpack value, by its first byte: of fixed size, or of the size that follows in n bytes.
local FIXED = {[192] = 0, [204] = 1, [205] = 2, [206] = 4, [207] = 8, [208] = 1, [209] = 2, [210] = 4, [211] = 8}
local SIZED = {[196] = 1, [197] = 2, [198] = 4, [217] = 1, [218] = 2, [219] = 4} -- bin 8 to 32, str 8 to 32
local UNSIGNED = {'>I1', '>I2', [4] = '>I4'}

-- The place after the value that begins at a place (both from 1).
local function after_value(bytes, at)
  local first = string.byte(bytes, at)
  if first < 128 or first >= 224 then return at + 1 end -- small integers
  if first >= 160 and first < 192 then return at + 1 + first - 160 end -- short strings
  if FIXED[first] then return at + 1 + FIXED[first] end
  local width = SIZED[first]
  return at + 1 + width + struct.unpack(UNSIGNED[width], bytes, at + 1)
end

-- The events list without the ones at the given places (a set, from 1): cut by msgpack's own lengths. An event is an
-- array of five values of the kinds above.
local function without(events, dropped, n, kept)
  local parts, head = {count_header(kept)}, string.byte(events, 1)
  local at = head == 221 and 6 or head == 220 and 4 or 2
  for place = 1, n do
    local start = at
    at = at + 1
    for _ = 1, 5 do at = after_value(events, at) end
    if not dropped[place] then parts[#parts + 1] = string.sub(events, start, at - 1) end
  end
  return table.concat(parts)
end

local function publish(keys, argv)
  local backlog_limit, ids_max, ids_window_us = unpack(cmsgpack.unpack(argv[1]))
  local requests = cmsgpack.unpack(argv[2])
  local time = redis.call('TIME')
  local now_us = time[1] * 1000000 + time[2]
  local counts = redis.call('HMGET', keys[2], 'added', 'settled', 'last_ms')
  local added = tonumber(counts[1] or 0)
  local backlog = added - tonumber(counts[2] or 0)
  local now_ms = math.max(math.floor(now_us / 1000), tonumber(counts[3] or 0))
  local blocks, records, results, total, at = {}, {}, {}, 0, 1
  rotate_ids(keys[5], keys[6], keys[2], now_us, ids_max, ids_window_us)

  for i, request in ipairs(requests) do
    local place, limit, window_us, status, err, ids, audit_length, head_length, events_length = unpack(request)
    local outcome, remaining, reset_us, kept, duplicates = ACCEPTED, 0, 0, 0, {}
    local n = #ids
    local audit = string.sub(argv[3], at, at + audit_length - 1)
    local head_at = at + audit_length
    local events_at = head_at + head_length
    local crcs_at = events_at + events_length
    at = crcs_at + 4 * n
    if n > 0 and backlog + total >= backlog_limit then
      outcome, status, err = BACKLOG, 503, 'backlog-full'
    elseif place > 0 then
      local admitted
      admitted, remaining, reset_us = admit(keys[place], limit, window_us, now_us)
      if not admitted then outcome, status, err = LIMITED, 429, 'rate-limited' end
    end
    if outcome == ACCEPTED and n > 0 then
      local seen, seen_before = redis.call('HMGET', keys[5], unpack(ids)), redis.call('HMGET', keys[6], unpack(ids))
      local dropped, fresh, own = {}, {}, {}
      for k = 1, n do
        local crc = string.sub(argv[3], crcs_at + 4 * k - 4, crcs_at + 4 * k - 1)
        local first = seen[k] or seen_before[k] or own[ids[k]]
        if first then
          local high, ms_low, seq_high, seq_low = struct.unpack('>I2I4I2I4', first)
          duplicates[#duplicates + 1] = {
            k - 1, high * 4294967296 + ms_low, seq_high * 4294967296 + seq_low,
            string.sub(first, 13) == crc and 1 or 0,
          }
          dropped[k] = true
        else
          kept = kept + 1
          local seq = added + total + kept
          local value = struct.pack('>I2I4I2I4', math.floor(now_ms / 4294967296), now_ms % 4294967296,
            math.floor(seq / 4294967296), seq % 4294967296) .. crc
          own[ids[k]] = value
          fresh[#fresh + 1] = ids[k]
          fresh[#fresh + 1] = value
        end
      end
      if kept > 0 then
        redis.call('HSET', keys[5], unpack(fresh))
        if kept == n then
          blocks[#blocks + 1] = string.sub(argv[3], head_at, crcs_at - 1)
        else
          local events = string.sub(argv[3], events_at, crcs_at - 1)
          blocks[#blocks + 1] = string.sub(argv[3], head_at, events_at - 1) .. without(events, dropped, n, kept)
        end
        total = total + kept
      end
    end
    records[#records + 1] = audit .. cmsgpack.pack(status) .. cmsgpack.pack(err)
    results[i] = {outcome, remaining, math.ceil(reset_us), added + total, kept, duplicates}
  end

  if total > 0 then
    append(keys[1], keys[2], now_us, total, count_header(#blocks) .. table.concat(blocks))
  end
  append(keys[3], keys[4], now_us, #records, count_header(#records) .. table.concat(records))
  return cmsgpack.pack({now_ms, results})
end
