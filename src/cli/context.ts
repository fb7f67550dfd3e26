import type { Command } from 'commander'
import { RegcreddError } from '../errors.ts'
import { canonicalName } from '../registry/host.ts'
import { type AdminClient, type AdminFollower, adminClient, adminFollower } from './admin-client.ts'
import { type Paint, paintFor } from './terminal.ts'

type GlobalOptions = { socket: string; config: string; json?: true }

/** What a command has at hand. */
export type Context = {
  ask: AdminClient
  follow: AdminFollower
  configPath: string
  isJson: boolean
  paint: Paint
  /** The outcome, on stdout: `value` with --json, else the text. */
  show(value: unknown, text: (paint: Paint) => string): void
  /** Progress and advice, on stderr. */
  note(text: string): void
}

export function contextOf(command: Command): Context {
  const { socket, config, json } = command.optsWithGlobals<GlobalOptions>()
  const isJson = json === true
  const paint = paintFor(process.stdout, process.env)
  return {
    ask: adminClient(socket),
    follow: adminFollower(socket),
    configPath: config,
    isJson,
    paint,
    show(value, text) {
      process.stdout.write(`${isJson ? JSON.stringify(value, null, 2) : text(paint)}\n`)
    },
    note(text) {
      process.stderr.write(`${text}\n`)
    },
  }
}

/** The path of a registry's resource; `host` is what the user typed. Throws USAGE. */
export function registryPath(host: string): string {
  return `/v1/registries/${encodeURIComponent(registryName(host))}`
}

export function registryName(host: string): string {
  try {
    return canonicalName(host).name
  } catch (cause) {
    throw new RegcreddError('USAGE', 'HOST must be host[:port] or host[:port]/path, without https://', { cause })
  }
}
