import { z } from 'zod'

const controls = /[\u0000-\u001f\u007f-\u009f]/

const text = (limit: number) =>
  z
    .string('must be a text')
    .min(1, 'must not be empty')
    .max(limit, `must not be longer than ${limit} characters`)
    // A lone surrogate cannot be sent as UTF-8: what would be stored is not what was meant.
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')

export const username = text(255)
  .refine((value) => !value.includes(':'), 'must not hold a colon: Basic authentication ends the username there')
  .refine((value) => !controls.test(value), 'must not hold control characters')
  .describe('Username at the registry.')

export const password = text(65_536)
  .refine(
    (value) => !/[\0\r\n]/.test(value),
    'must not hold NUL, CR or LF: registries cannot take them, and a line end at the end is mostly a slip (printf, not echo)',
  )
  .describe('Password or token at the registry.')

export const email = text(254)
  .refine((value) => !controls.test(value), 'must not hold control characters')
  .describe('Address for the `email` field of mirrored Secrets.')
