import type { Request } from 'express'
import type { z } from 'zod'
import { describeIssue } from './body.ts'
import { InvalidRequest } from './problem.ts'

/** Checks the query; a parameter that is unknown or stands there twice is refused. Throws PARAMETER_INVALID with every problem. */
export function readQuery<Shape extends z.ZodRawShape>(
  request: Request,
  schema: z.ZodObject<Shape, z.core.$strict>,
): z.infer<z.ZodObject<Shape, z.core.$strict>> {
  const parsed = schema.safeParse({ ...request.query })
  if (parsed.success) return parsed.data
  const known = Object.keys(schema.shape).join(', ') || 'none'
  throw new InvalidRequest(
    'PARAMETER_INVALID',
    parsed.error.issues.map((issue) => describeIssue(issue, known)),
  )
}
