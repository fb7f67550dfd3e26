import { notTheApi } from './api-answer.ts'

/** Longer than any object that etcd takes. */
const MAX_LINE_CHARACTERS = 8 * 1024 * 1024

/** The lines of a stream of UTF-8, without empty ones; `onSign` is called for every piece that comes. Ends with the stream. */
export async function* linesOf(stream: ReadableStream<Uint8Array>, onSign: () => void): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    onSign()
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_CHARACTERS) throw notTheApi()
    for (const line of lines) if (line !== '') yield line
  }
}
