import type { Request, Response } from 'express'
import type { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import { type FieldProblem, InvalidRequest } from './problem.ts'
import { parseStrictJson } from './strict-json.ts'

const MAX_BODY_BYTES = 65_536
/** So much of a body that is too large is thrown away before the answer, so that an honest client gets to read it. */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES
const JSON_TYPE = /^application\/json\s*(?:;\s*charset=("?)utf-8\1\s*)?$/i

/**
 * Reads the body and checks it against a strict schema. express.json is not used: it keeps the last of two equal keys and puts a malformed
 * body, password included, into its error. Throws MEDIA_TYPE_UNSUPPORTED, BODY_TOO_LARGE, BODY_MALFORMED, BODY_INVALID (all problems at once).
 */
export async function readBody<Shape extends z.ZodRawShape>(
  request: Request,
  response: Response,
  schema: z.ZodObject<Shape, z.core.$strict>,
): Promise<z.infer<z.ZodObject<Shape, z.core.$strict>>> {
  if (!JSON_TYPE.test(request.headers['content-type'] ?? '')) throw new RegcreddError('MEDIA_TYPE_UNSUPPORTED')
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new RegcreddError('MEDIA_TYPE_UNSUPPORTED', 'without Content-Encoding')
  }
  const parsed = schema.safeParse(parseStrictJson(await readBytes(request, response)))
  if (parsed.success) return parsed.data
  const known = Object.keys(schema.shape).join(', ')
  throw new InvalidRequest(
    'BODY_INVALID',
    parsed.error.issues.map((issue) => describeIssue(issue, known)),
  )
}

/** As `readBody`; where there is no body at all, as for `{}`. */
export async function readOptionalBody<Shape extends z.ZodRawShape>(
  request: Request,
  response: Response,
  schema: z.ZodObject<Shape, z.core.$strict>,
): Promise<z.infer<z.ZodObject<Shape, z.core.$strict>>> {
  const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers
  return length === '0' && coding === undefined ? schema.parse({}) : readBody(request, response, schema)
}

/** zod's messages name types and limits, never values; the name of an unknown key came from the client and is left out too. */
export function describeIssue(issue: z.core.$ZodIssue, known: string): FieldProblem {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') return { path, message: `has a key that is not one of: ${known}` }
  return { path, message: issue.message }
}

async function readBytes(request: Request, response: Response): Promise<Buffer> {
  const pieces: Buffer[] = []
  let sizeBytes = Number(request.headers['content-length'] ?? 0) > MAX_DISCARDED_BYTES ? MAX_DISCARDED_BYTES + 1 : 0
  try {
    if (sizeBytes === 0) {
      for await (const piece of request as AsyncIterable<Buffer>) {
        sizeBytes += piece.length
        if (sizeBytes > MAX_DISCARDED_BYTES) break
        if (sizeBytes <= MAX_BODY_BYTES) pieces.push(piece)
      }
    }
  } catch (cause) {
    throw new RegcreddError('BODY_MALFORMED', 'it ended early', { cause })
  }
  if (sizeBytes <= MAX_BODY_BYTES) return Buffer.concat(pieces)
  if (sizeBytes > MAX_DISCARDED_BYTES) response.set('Connection', 'close')
  throw new RegcreddError('BODY_TOO_LARGE')
}
