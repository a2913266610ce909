// Server-sent events read by fetch: EventSource cannot send a key in a header.
// The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

/** The events of a stream of bytes, as {type, data}. Comments, ids and retry hints are passed over. */
export async function* eventsOf(bytes) {
  let event = { type: "message", lines: [] };
  for await (const line of linesOf(bytes)) {
    if (line === "") {
      if (event.lines.length) yield { type: event.type, data: event.lines.join("\n") };
      event = { type: "message", lines: [] };
    } else if (line.startsWith("data:")) event.lines.push(valueOf(line));
    else if (line.startsWith("event:")) event.type = valueOf(line);
  }
}

function valueOf(line) {
  const value = line.slice(line.indexOf(":") + 1);
  return value.startsWith(" ") ? value.slice(1) : value;
}

/** Lines, whatever the pieces they come in. A line that is not ended is not given. */
async function* linesOf(bytes) {
  const reader = bytes.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => {}); // who ends it early does not care how it ended
  }
}
