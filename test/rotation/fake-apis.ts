/** The parts of Harbor's and GitLab's APIs that the hooks use, as their documents have them. */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

type Asked = { method: string; path: string; authorization: string | undefined; body: string }

async function serve(answer: (asked: Asked, response: ServerResponse, request: IncomingMessage) => void) {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request
    const authorization = headers.authorization ?? headers['private-token']?.toString()
    const one = { method, path, authorization, body: await text(request) }
    asked.push(one)
    answer(one, response, request)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export type Mood = { status?: number; hangUpAfterChange?: boolean }

/** Robot 12 of a Harbor whose administrator is `admin:Harbor12345`. */
export async function startFakeHarbor(robot: { name: string; secret: string }, mood: Mood = {}) {
  const admin = `Basic ${Buffer.from('admin:Harbor12345').toString('base64')}`
  const server = await serve(({ method, path, authorization, body }, response, request) => {
    if (mood.status !== undefined) return json(response, mood.status, { errors: [] })
    if (authorization !== admin) return json(response, 401, { errors: [{ code: 'UNAUTHORIZED' }] })
    if (path !== '/api/v2.0/robots/12') return json(response, 404, { errors: [{ code: 'NOT_FOUND' }] })
    if (method === 'GET') return json(response, 200, { id: 12, name: robot.name, level: 'project', disable: false })
    const { secret } = JSON.parse(body)
    // Harbor's rule for robots' secrets.
    if (!/^(?=.*[a-z])(?=.*[A-Z])(?=.*\d).{8,128}$/.test(secret)) return json(response, 400, { errors: [] })
    robot.secret = secret
    if (mood.hangUpAfterChange === true) return void request.socket.destroy()
    json(response, 200, { secret: '' })
  })
  return { ...server, robot, mood }
}

export type DeployToken = { id: number; name: string; username: string; token: string; expires_at: string | null }

/** Project 42 of a GitLab whose access token is `glpat-x`. */
export async function startFakeGitlab(tokens: DeployToken[]) {
  const server = await serve(({ method, path, authorization, body }, response) => {
    if (authorization !== 'glpat-x') return json(response, 401, { message: '401 Unauthorized' })
    const [, id] = /^\/api\/v4\/projects\/42\/deploy_tokens(?:\/(\d+))?(?:\?.*)?$/.exec(path) ?? []
    if (!path.startsWith('/api/v4/projects/42/deploy_tokens')) return json(response, 404, { message: '404' })
    if (method === 'GET')
      return json(
        response,
        200,
        tokens.map(({ token: _, ...rest }) => rest),
      )
    if (method === 'DELETE') {
      const index = tokens.findIndex((token) => String(token.id) === id)
      if (index === -1) return json(response, 404, { message: '404' })
      tokens.splice(index, 1)
      return void response.writeHead(204).end()
    }
    const asked = JSON.parse(body)
    const number = Math.max(0, ...tokens.map((token) => token.id)) + 1
    const made: DeployToken = {
      id: number,
      name: asked.name,
      username: `gitlab+deploy-token-${number}`,
      token: `gldt-${randomBytes(10).toString('hex')}`,
      expires_at: asked.expires_at ?? null,
    }
    tokens.push(made)
    json(response, 201, { ...made, scopes: asked.scopes })
  })
  return { ...server, tokens }
}
