import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { text } from 'node:stream/consumers'
import type { RunOptions } from '../cli/regcredd.ts'
import type { Daemon } from '../helpers/daemon.ts'
import type { Place } from '../helpers/leak-search.ts'
import { ask } from '../helpers/proxy.ts'

type Sent = { method?: string; headers?: Record<string, string>; body?: string }
type Said = { status: number; headers: IncomingMessage['headers']; text: string }

/** A daemon whose every answer is kept, head and body, for the search. */
export type Recorded = {
  places(): Place[]
  /** The admin API, with the body as it is given. */
  rest(path: string, sent?: Sent): Promise<Said>
  health(path: string): Promise<Said>
  pull(path: string, headers?: Record<string, string>, method?: string): Promise<Said>
  cli(args: string[], options?: RunOptions): ReturnType<Daemon['cli']>
}

export function record(daemon: Daemon): Recorded {
  const places: Place[] = []
  const keep = (kind: string, name: string, said: Said) => {
    places.push({ kind: `${kind} head`, name, content: `${said.status} ${JSON.stringify(said.headers)}` })
    places.push({ kind: `${kind} body`, name, content: said.text })
    return said
  }
  return {
    places: () => places,
    rest: async (path, sent = {}) =>
      keep('REST', path, await say({ socketPath: daemon.socket, path: encodeURI(path) }, sent)),
    health: async (path) => {
      const { hostname, port } = new URL(daemon.health)
      return keep(path, path, await say({ hostname, port, path }, {}))
    },
    async pull(path, headers = { 'regcredd-token': daemon.callerToken }, method = 'GET') {
      const got = await ask(daemon.port(), path, { headers, method })
      return keep('proxy', path, { ...got, text: got.body.toString() })
    },
    async cli(args, options) {
      const outcome = await daemon.cli(args, options)
      const { stdout, stderr } = outcome
      places.push({ kind: 'CLI output', name: args.join(' '), content: `${stdout}\n${stderr}` })
      return outcome
    },
  }
}

async function say(where: RequestOptions, { method = 'GET', headers = {}, body }: Sent): Promise<Said> {
  const request = httpRequest({
    ...where,
    method,
    headers: { 'content-type': 'application/json', ...headers },
    agent: false,
  })
  request.end(body)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
  })
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: await text(answer) }
}
