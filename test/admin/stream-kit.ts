import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export type Event = { name: string; data: { state: string } }

/** Serves `app` by HTTP, and gives what asks it for a stream; both end with the test. */
export async function serveWith(context: TestContext, app: RequestListener) {
  const server = createServer(app)
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return async (path: string, headers: Record<string, string> = { accept: 'text/event-stream' }) => {
    const asked = get({ host: '127.0.0.1', port, path, headers, agent: false })
    context.after(() => asked.destroy())
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return answer
  }
}

/** The events of what a stream said; its heartbeats are none. */
export function eventsOf(said: string): Event[] {
  const blocks = said.split('\n\n').filter((block) => block.startsWith('event: '))
  return blocks.map((block) => {
    const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(block) ?? []
    return { name, data: JSON.parse(data) }
  })
}
