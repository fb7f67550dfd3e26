import { z } from 'zod'
import { alphabets, SECRET_LENGTH } from '../rotation/generate.ts'
import { email, password, username } from './fields.ts'

/** Every form that a body or a query may have; unknown keys are refused. */

const DEADLINE_RANGE = 'must be a whole number of seconds from 0 to 86400'
const LENGTH_RANGE = `must be a whole number from ${SECRET_LENGTH.min} to ${SECRET_LENGTH.max}`
const TTL_RANGE = 'must be a whole number of seconds from 60 to 31622400 (366 days)'
const LIMIT = 'must be a whole number from 1 to 1000'
const AFTER = 'must be the number of a record'
const TOKEN_NAME = 'must be 1 to 64 letters, digits, dots, dashes, underscores, slashes or at signs'

const deadlineSeconds = z
  .int(DEADLINE_RANGE)
  .min(0, DEADLINE_RANGE)
  .max(86_400, DEADLINE_RANGE)
  .default(600)
  .describe('How long the registry may take to accept the new password. 0: it is tried once.')

const expiresAt = z.iso
  .datetime({ error: 'must be a time such as 2026-01-02T03:04:05Z', offset: true })
  .optional()
  .describe('When the password ends at the registry, where that is known.')

export const login = z.strictObject({
  username,
  password,
  email: email.optional(),
  expiresAt,
  verify: z.boolean('must be true or false').default(true).describe('Whether the registry is asked first.'),
})

export const newRotation = z
  .strictObject({
    password: password.optional().describe('The new password, which somebody sets at the registry too.'),
    generate: z
      .strictObject(
        {
          length: z
            .int(LENGTH_RANGE)
            .min(SECRET_LENGTH.min, LENGTH_RANGE)
            .max(SECRET_LENGTH.max, LENGTH_RANGE)
            .optional(),
          alphabet: z.enum(alphabets, `must be one of: ${alphabets.join(', ')}`).optional(),
        },
        'must be an object, {} for the usual form',
      )
      .optional()
      .describe('In place of `password`: it is made here, and set at the registry by its hook.'),
    username: username.optional().describe('Absent: as before.'),
    email: email.optional().describe('Absent: as before.'),
    deadlineSeconds,
    expiresAt,
  })
  .describe('Either `password` or `generate`; of a dry run the password may be left out.')

export const dryRunQuery = z.strictObject({
  dryRun: z
    .enum(['true', 'false'], 'must be true or false, and stand there once')
    .optional()
    .describe('`true`: nothing is changed; the answer tells what would be.'),
})

export const rollback = z.strictObject({ deadlineSeconds })

export const resolve = z.strictObject({
  version: z
    .string('must be a version')
    .regex(/^v[1-9]\d{0,8}$/, 'must be a version such as v3')
    .describe('The version that is right. All are tried at the registry, and this one must be accepted.'),
})

export const hostFilter = z.strictObject({ host: z.string('must stand there once').optional() })

export const auditRange = z.strictObject({
  limit: z
    .string(LIMIT)
    .regex(/^\d{1,4}$/, LIMIT)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 1_000, LIMIT)
    .default(100),
  after: z
    .string(AFTER)
    .regex(/^\d{1,15}$/, AFTER)
    .transform(Number)
    .optional(),
})

export const newToken = z.strictObject({
  id: z
    .string('must be a text')
    .regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits')
    .describe('The id within the token, `rcd_ID_SECRET`.'),
  sha256: z
    .string('must be a text')
    .regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits')
    .describe('SHA-256 of the whole token, `rcd_` and all. The token itself is not sent.'),
  name: z
    .string(TOKEN_NAME)
    .regex(/^[\w./@-]{1,64}$/, TOKEN_NAME)
    .optional()
    .describe('For people, and for the audit.'),
  scopes: z
    .array(z.string('must be a text').max(512, 'must not be longer than 512 characters'), 'must be a list of scopes')
    .min(1, 'must not be empty')
    .max(32, 'must not hold more than 32')
    .describe('`read`, `audit:read`, `rotate:HOST`.'),
  ttlSeconds: z.int(TTL_RANGE).min(60, TTL_RANGE).max(31_622_400, TTL_RANGE),
})
