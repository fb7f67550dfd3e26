import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

/** What a kept demo does when it is asked: by path, with what was sent, gives what is answered. */
export type Acts = Record<string, (sent: string) => Promise<string>>

export type Control = {
  /** Ends when what is being answered has been, or a second later. */
  close(): Promise<void>
}

const ANSWER_WITHIN_MS = 1_000

/** Listens for `ask.ts` on a unix socket. */
export async function listenForActs(socketPath: string, acts: Acts): Promise<Control> {
  const server = createServer(async (request, response) => {
    try {
      response.end(`${await act(request)}\n`)
    } catch (thrown) {
      response.statusCode = 500
      response.end(`${(thrown as Error).message}\n`)
    }
  })
  async function act(request: IncomingMessage): Promise<string> {
    const found = acts[(request.url ?? '').slice(1)]
    if (found === undefined) throw new Error(`there is no ${request.url}`)
    return found(await text(request))
  }
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      const timer = setTimeout(() => server.closeAllConnections(), ANSWER_WITHIN_MS)
      await closed
      clearTimeout(timer)
    },
  }
}
