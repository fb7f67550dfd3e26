import type { Request, Response } from 'express'
import type { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import type { SecretShape } from '../rotation/generate.ts'
import type { Rotation } from '../rotation/rotation.ts'
import { hasEnded } from '../rotation/state.ts'
import { Secret } from '../secret.ts'
import { actorOf } from './access.ts'
import { readBody, readOptionalBody } from './body.ts'
import { describeDryRun, describeRotation } from './describe-rotation.ts'
import { endpoints } from './endpoints.ts'
import type { AdminParts } from './parts.ts'
import { preferredWaitSeconds } from './prefer.ts'
import { InvalidRequest } from './problem.ts'
import { readQuery } from './query.ts'
import { demandListed } from './registries.ts'
import { dryRunQuery, hostFilter, newRotation, resolve, rollback } from './requests.ts'
import { type Api, addRoute, segment } from './route.ts'

const IDEMPOTENCY_KEY = /^[\x20-\x7e]{1,255}$/

export function addRotations(api: Api): void {
  const { parts } = api
  const { rotations } = parts

  addRoute(api, [
    endpoints.startRotation,
    async (request, response) => {
      const { host } = demandListed(parts, segment(request, 'host'))
      const actor = actorOf(request)
      const idempotencyKey = idempotencyKeyOf(request)
      const { dryRun } = readQuery(request, dryRunQuery)
      const { password, ...body } = await readBody(request, response, newRotation)
      const { generate, deadlineSeconds } = body
      if (dryRun === 'true') {
        const way = generate === undefined ? 'provided' : 'generated'
        response.json(describeDryRun(await rotations.dryRun(host, { way, deadlineSeconds })))
        return
      }
      if ((password === undefined) === (generate === undefined)) throw eitherPasswordOrGenerate()
      const secret = password === undefined ? undefined : new Secret(password)
      const { username, email, expiresAt } = body
      const what = { username, secret, generate: shapeOf(generate), email, deadlineSeconds, expiresAt }
      const started = await rotations.start(host, { ...what, idempotencyKey, actor })
      const waitSeconds = preferredWaitSeconds(request.get('Prefer'))
      const rotation =
        waitSeconds === undefined ? started : await waitFor(parts, started.id, waitSeconds * 1_000, response)
      if (waitSeconds !== undefined) response.set('Preference-Applied', `wait=${waitSeconds}`)
      answerFound(response, hasEnded(rotation) ? 200 : 202, rotation)
    },
  ])

  addRoute(api, [
    endpoints.rotations,
    async (request, response) => {
      const { host } = readQuery(request, hostFilter)
      const key = host === undefined ? undefined : demandListed(parts, host).host
      response.json({ rotations: (await rotations.list(key)).map(describeRotation) })
    },
  ])

  addRoute(api, [
    endpoints.rotation,
    async (request, response) => {
      const id = segment(request, 'id')
      response.vary('Accept')
      const isStream = request.accepts(['application/json', 'text/event-stream']) === 'text/event-stream'
      if (!isStream || request.method === 'HEAD') response.json(describeRotation(await rotations.get(id)))
      else await parts.streams.send(response, (signal) => rotations.follow(id, signal), hasEnded, describeRotation)
    },
  ])

  addRoute(api, [
    endpoints.abortRotation,
    async (request, response) => {
      response.json(describeRotation(await rotations.abort(segment(request, 'id'), actorOf(request))))
    },
  ])

  addRoute(api, [
    endpoints.rollBackRotation,
    async (request, response) => {
      const actor = actorOf(request)
      const { deadlineSeconds } = await readOptionalBody(request, response, rollback)
      const begun = await rotations.rollback(segment(request, 'id'), { deadlineSeconds, actor })
      answerFound(response, 202, begun)
    },
  ])

  addRoute(api, [
    endpoints.resolveRotation,
    async (request, response) => {
      const actor = actorOf(request)
      const { version } = await readBody(request, response, resolve)
      response.json(describeRotation(await rotations.resolve(segment(request, 'id'), version, actor)))
    },
  ])
}

function answerFound(response: Response, status: 200 | 202, rotation: Rotation): void {
  response.status(status).set('Location', `/v1/rotations/${rotation.id}`).json(describeRotation(rotation))
}

function eitherPasswordOrGenerate(): InvalidRequest {
  return new InvalidRequest('BODY_INVALID', [{ path: '', message: 'must hold either password or generate' }])
}

function shapeOf(generate: z.infer<typeof newRotation>['generate']): Partial<SecretShape> | undefined {
  if (generate === undefined) return undefined
  const { length, alphabet } = generate
  return { ...(length !== undefined && { length }), ...(alphabet !== undefined && { alphabet }) }
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
