import { z } from 'zod'
import { catalogue, type ErrorCode } from '../errors.ts'
import * as answers from './answers.ts'
import type { Answer, Endpoint } from './endpoint.ts'
import { endpoints } from './endpoints.ts'
import { type Api, addRoute } from './route.ts'

type Json = Record<string, unknown>

/** What any request may be refused with, by the socket and by TLS. */
const ANYWHERE: ErrorCode[] = ['ORIGIN_REFUSED', 'HOST_REFUSED', 'INTERNAL']
const BY_TLS: ErrorCode[] = [
  'TOKEN_REFUSED',
  'TOKEN_EXPIRED',
  'TOKEN_SCOPE_MISSING',
  'KUBERNETES_ACCESS_DENIED',
  'KUBERNETES_AUTH_UNAVAILABLE',
  'TOO_MANY_FAILURES',
  'TOKENS_UNAVAILABLE',
]

export function addOpenApi(api: Api): void {
  let document: Json | undefined
  addRoute(api, [
    endpoints.openapi,
    (_request, response) => {
      document ??= openApiDocument(api.parts.version)
      response.json(document)
    },
  ])
}

/** The API as an OpenAPI 3.1 document, made of the same table and the same forms that serve it. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const endpoint of Object.values<Endpoint>(endpoints)) {
    const path = endpoint.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [endpoint.method]: operation(endpoint) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'regcredd',
      version,
      description:
        'The admin API of one node. By the unix socket everything is open to whoever may open it; by TLS each request shows a token, whose scopes are named with each operation. No answer holds a secret.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      { url: 'http://localhost', description: 'the unix socket, admin.socket' },
      {
        url: 'https://{host}',
        description: 'admin.tls',
        variables: { host: { default: 'localhost:5443', description: 'one of admin.tls.hosts, with the port' } },
      },
    ],
    paths,
    components: {
      schemas: namedForms(),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description:
            'By TLS alone: a token of `regcredd token create`, or with `admin.kubernetesAuth` one of the cluster. By the socket there is none.',
        },
      },
    },
  }
}

function operation(endpoint: Endpoint): Json {
  const { name, summary, openers, body, path, query, headers = [], answers: good } = endpoint
  const scopes = openers.map((opener) => (opener === 'rotate' ? 'rotate:HOST' : opener))
  return {
    operationId: name,
    summary,
    description:
      openers.length === 0
        ? 'By the socket alone.'
        : `By TLS with a token of scope ${scopes.map((scope) => (scope === 'any' ? 'whatever' : `\`${scope}\``)).join(' or ')}.`,
    security: openers.length === 0 ? [{}] : [{}, { token: [] }],
    parameters: [
      ...[...path.matchAll(/:(\w+)/g)].map(([, parameter = '']) => pathParameter(parameter)),
      ...Object.entries(properties(query)).map(([key, schema]) => ({ name: key, in: 'query', schema })),
      ...headers.map(({ name: header, description }) => ({
        name: header,
        in: 'header',
        description,
        schema: { type: 'string' },
      })),
    ],
    ...(body !== undefined && { requestBody: requestBody(body, endpoint.bodyMayLack !== true) }),
    responses: { ...goodAnswers(good), ...problemAnswers(endpoint) },
  }
}

function pathParameter(name: string): Json {
  const description =
    name === 'host'
      ? '`host[:port]` or `host[:port]/path`, percent-encoded, in any spelling that means the same.'
      : 'Its id.'
  return { name, in: 'path', required: true, description, schema: { type: 'string' } }
}

function requestBody(body: z.ZodObject, required: boolean): Json {
  const { description, ...schema } = toSchema(body, 'input')
  return {
    required,
    ...(description !== undefined && { description }),
    content: { 'application/json': { schema } },
  }
}

function goodAnswers(good: Record<number, Answer>): Json {
  return Object.fromEntries(
    Object.entries(good).map(([status, { description, form, stream }]) => {
      if (status === '204') return [status, { description }]
      const json = { schema: form === undefined ? { type: 'object' } : reference(form) }
      const events = { 'text/event-stream': { schema: { type: 'string', description: EVENTS } } }
      return [status, { description, content: { 'application/json': json, ...(stream && events) } }]
    }),
  )
}

const EVENTS =
  'Server-sent events: `state` for the state of now and for each that follows, `end` for the last one; `data` is the same JSON. Ends after `end`, or after a quarter of an hour without it.'

function problemAnswers({ problems }: Endpoint): Json {
  const codes = [...new Set([...problems, ...ANYWHERE, ...BY_TLS])]
  const statuses = [...new Set(codes.map((code) => catalogue[code].status))].sort((a, b) => a - b)
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      {
        description: codes.filter((code) => catalogue[code].status === status).join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/problem' } } },
      },
    ]),
  )
}

/** A form that has a name is referred to, and so are the parts of a choice. */
function reference(form: z.ZodType): Json {
  if (form instanceof z.ZodUnion) return { anyOf: form.options.map((option) => reference(option as z.ZodType)) }
  const name = Object.entries(answers).find(([, named]) => named === form)?.[0]
  return name === undefined ? toSchema(form, 'output') : { $ref: `#/components/schemas/${name}` }
}

function namedForms(): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, form] of Object.entries(answers)) registry.add(form, { id })
  const options = { io: 'output' as const, uri: (id: string) => `#/components/schemas/${id}`, override: plainer }
  const { schemas } = z.toJSONSchema(registry, options)
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _dialect, $id: _id, ...schema }]) => [name, schema]),
  )
}

function properties(form: z.ZodObject | undefined): Record<string, unknown> {
  return form === undefined ? {} : (toSchema(form, 'input')['properties'] as Record<string, unknown>)
}

function toSchema(form: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(form, { io, override: plainer }) as Json
  return schema
}

/** zod writes a calendar as a regular expression beside the format, and the limits of JavaScript's numbers. */
function plainer({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
}
