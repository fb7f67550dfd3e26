import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Break } from './break.ts'

const folder = join(import.meta.dirname, 'breaks')

/** All breaks: one file for each room, and `daemon.ts` for the files that stand alone under src/. */
export const breaks: Break[] = []
for (const file of readdirSync(folder).sort()) breaks.push(...(await import(join(folder, file))).breaks)
