import { z } from 'zod'

/** A day at the most; `fallback` where the key is absent. */
export const milliseconds = (fallback: number) => z.int().min(1).max(86_400_000).default(fallback)
