import type { Express, Request, Response } from 'express'
import { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import { hasEnded, type Rotation } from '../rotation/rotation.ts'
import { Secret } from '../secret.ts'
import { actorOf } from './access.ts'
import { readBody } from './body.ts'
import { email, password, username } from './fields.ts'
import type { AdminParts } from './parts.ts'
import { preferredWaitSeconds } from './prefer.ts'
import { readQuery } from './query.ts'
import { demandListed } from './registries.ts'
import { addRoute, segment } from './route.ts'

const DEFAULT_DEADLINE_SECONDS = 600
const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/
const DEADLINE_RANGE = 'must be a whole number of seconds from 0 to 86400'

const newSecret = z.strictObject({
  username: username.optional(),
  password,
  email: email.optional(),
  deadlineSeconds: z
    .int(DEADLINE_RANGE)
    .min(0, DEADLINE_RANGE)
    .max(86_400, DEADLINE_RANGE)
    .default(DEFAULT_DEADLINE_SECONDS)
    .describe('How long the registry may take to accept the new password. 0: it is tried once.'),
})

const filter = z.strictObject({ host: z.string('must stand there once').optional() })

export function addRotations(app: Express, parts: AdminParts): void {
  const { rotations } = parts

  addRoute(app, '/v1/registries/:host/rotations', {
    async post(request, response) {
      const { host } = demandListed(parts, segment(request, 'host'))
      const actor = actorOf(request)
      const idempotencyKey = idempotencyKeyOf(request)
      const { password, ...body } = await readBody(request, response, newSecret)
      const { username, email, deadlineSeconds } = body
      const secret = new Secret(password)
      const started = await rotations.start(host, { username, secret, email, deadlineSeconds, idempotencyKey, actor })
      const waitSeconds = preferredWaitSeconds(request.get('Prefer'))
      const rotation =
        waitSeconds === undefined ? started : await waitFor(parts, started.id, waitSeconds * 1_000, response)
      if (waitSeconds !== undefined) response.set('Preference-Applied', `wait=${waitSeconds}`)
      response
        .status(hasEnded(rotation) ? 200 : 202)
        .set('Location', `/v1/rotations/${rotation.id}`)
        .json(describe(rotation))
    },
  })

  addRoute(app, '/v1/rotations', {
    async get(request, response) {
      const { host } = readQuery(request, filter)
      const key = host === undefined ? undefined : demandListed(parts, host).host
      response.json({ rotations: (await rotations.list(key)).map(describe) })
    },
  })

  addRoute(app, '/v1/rotations/:id', {
    async get(request, response) {
      response.json(describe(await rotations.get(segment(request, 'id'))))
    },
  })

  addRoute(app, '/v1/rotations/:id/abort', {
    async post(request, response) {
      response.json(describe(await rotations.abort(segment(request, 'id'), actorOf(request))))
    },
  })
}

function idempotencyKeyOf(request: Request): string | undefined {
  const key = request.get('Idempotency-Key')
  if (key !== undefined && !IDEMPOTENCY_KEY.test(key)) {
    throw new RegcreddError('PARAMETER_INVALID', 'Idempotency-Key must be 1 to 255 printable ASCII characters')
  }
  return key
}

async function waitFor(parts: AdminParts, id: string, timeoutMs: number, response: Response): Promise<Rotation> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return parts.rotations.wait(id, timeoutMs, gone.signal)
}

function describe(rotation: Rotation) {
  const { key, endedAt, code, mirror, ...rest } = rotation
  return {
    ...rest,
    host: key,
    endedAt: endedAt ?? null,
    code: code ?? null,
    mirror: mirror.map((result) => ({ ...result, detail: result.detail ?? null })),
  }
}
