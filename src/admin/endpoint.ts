import type { z } from 'zod'
import type { ErrorCode } from '../errors.ts'
import type { Opener } from './token-scope.ts'

export type Answer = { description: string; form?: z.ZodType; stream?: true }

/** What one method of one path takes and gives, and who may use it; the API is the list of these in endpoints.ts. */
export type Endpoint = {
  /** The name of the operation in OpenAPI. */
  name: string
  method: 'get' | 'put' | 'post' | 'delete'
  /** As express has it: `/v1/registries/:host`. */
  path: string
  summary: string
  /** Which scopes open it to a token; none: it is for the socket alone. `rotate` needs a path with `:host`, or with the `:id` of a rotation. */
  openers: readonly Opener[]
  query?: z.ZodObject
  body?: z.ZodObject
  /** No body means `{}`. */
  bodyMayLack?: true
  headers?: readonly { name: string; description: string }[]
  answers: Record<number, Answer>
  /** What it may refuse with, beside what every endpoint may. */
  problems: readonly ErrorCode[]
}
