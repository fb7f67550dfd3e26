import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { errnoOf, RegcreddError } from '../errors.ts'
import { fault } from './faults.ts'
import type { HelperAnswer, HelperRequest } from './os-helper.ts'

/** What keytar and the session bus need. NOTIFY_SOCKET, NODE_OPTIONS, tokens and the like stay out. */
const ALLOWED_ENVIRONMENT = ['DBUS_SESSION_BUS_ADDRESS', 'XDG_RUNTIME_DIR', 'HOME', 'USER', 'PATH', 'LANG', 'LC_ALL']
/** Node starting on a busy machine; nothing is asked of the keyring yet. */
const START_TIMEOUT_MS = 15_000
/** keytar can crash, and a core would hold what its registers held: Node cannot set limits, a shell can, and then becomes Node. */
const RUNNER =
  process.platform === 'linux'
    ? { execPath: '/bin/sh', execArgv: ['-c', 'ulimit -c 0; exec "$0" "$@"', process.execPath] }
    : { execPath: process.execPath, execArgv: [] }

export type HelperOptions = {
  /** How long one call may take before the process is killed. */
  timeoutMs: number
  environment: NodeJS.ProcessEnv
  /** The script that runs keytar. Default: os-helper beside this file, `.ts` as this or `.mjs` in the bundle. */
  script?: string
}

type OneRequest = Exclude<HelperRequest, { do: 'getMany' }>

export type HelperProcess = {
  /**
   * Asks keytar, one call after the other. Gives an item's text, or `undefined` where keytar found none and for `set` and `delete`.
   * Throws KEYCHAIN_UNAVAILABLE; after a crash or an error of keytar it first tries once more in a fresh process, as a process that
   * has lost its keyring never finds it again.
   */
  call(request: OneRequest): Promise<string | undefined>
  /** As `call` with `get`, for many accounts at one time; the texts come in their order. */
  getMany(service: string, accounts: string[]): Promise<(string | undefined)[]>
  /** The running process, if any. */
  pid(): number | undefined
  close(): Promise<void>
}

/** Keeps one helper process, started with the first call. It stays: each new client of the bus can crash gnome-keyring (secret-service.ts). */
export function createHelperProcess(options: HelperOptions): HelperProcess {
  const script = options.script ?? helperScript(import.meta.url)
  let helper: ChildProcess | undefined
  let queue: Promise<unknown> = Promise.resolve()

  function discard(): void {
    helper?.kill('SIGKILL')
    helper = undefined
  }

  async function start(): Promise<ChildProcess> {
    const env = Object.fromEntries(ALLOWED_ENVIRONMENT.map((name) => [name, options.environment[name]]))
    helper = fork(script, {
      env,
      ...RUNNER,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    // The deadline of each call keeps the daemon alive for as long as need be; an idle helper must not.
    helper.unref()
    helper.channel?.unref()
    const first = await nextMessage(helper, START_TIMEOUT_MS)
    if (first === 'timeout') throw fault('noHelper', { reason: `not within ${START_TIMEOUT_MS} ms` })
    if ('ended' in first) throw fault('noHelper', { reason: first.ended })
    if ('loaded' in first && first.loaded) return helper
    const missing = 'loaded' in first && !first.loaded && first.missing
    const cause = 'reason' in first ? new Error(first.reason) : undefined
    throw fault(missing ? 'noKeytar' : 'brokenKeytar', {}, cause)
  }

  async function attempt(request: HelperRequest): Promise<{ texts: (string | undefined)[] } | { failure: string }> {
    const child = helper ?? (await start())
    // Where the channel is broken the process ends, and that is what is waited for.
    child.send(request, () => undefined)
    const answer = await nextMessage(child, options.timeoutMs)
    if (answer === 'timeout') {
      throw fault('silentHelper', { timeoutMs: options.timeoutMs })
    }
    if ('ended' in answer) return { failure: `the helper process ended (${answer.ended})` }
    if ('texts' in answer) return { texts: answer.texts.map((text) => text ?? undefined) }
    return { failure: 'reason' in answer ? answer.reason : 'an answer out of turn' }
  }

  async function perform(request: HelperRequest): Promise<(string | undefined)[]> {
    try {
      let outcome = await attempt(request)
      if ('failure' in outcome) {
        discard()
        outcome = await attempt(request)
      }
      if ('failure' in outcome) throw fault('refused', {}, new Error(outcome.failure))
      return outcome.texts
    } catch (error) {
      discard()
      // Node throws some errors of a fork at once: where there is no memory left, the store is away and the daemon goes on.
      throw error instanceof RegcreddError ? error : fault('noHelper', { reason: errnoOf(error) ?? 'unknown' }, error)
    }
  }

  function inTurn(request: HelperRequest): Promise<(string | undefined)[]> {
    const result = queue.then(() => perform(request))
    // Whoever comes next only needs to know that this one is over; its failure goes to its own caller.
    queue = result.catch(() => undefined)
    return result
  }

  return {
    call: async (request) => (await inTurn(request))[0],
    getMany: (service, accounts) => inTurn({ do: 'getMany', service, accounts }),
    pid: () => helper?.pid,
    async close() {
      await queue
      const ending = helper
      discard()
      if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
      // When the start has failed nothing else keeps the daemon alive, and Node would end it before it says why.
      ending.ref()
      await once(ending, 'exit')
    },
  }
}

/** os-helper beside the module at `url`, with the same extension: `.ts` unbuilt, `.mjs` in the bundle. */
export function helperScript(url: string): string {
  return fileURLToPath(new URL(`./os-helper${extname(url)}`, url))
}

async function nextMessage(
  child: ChildProcess,
  timeoutMs: number,
): Promise<HelperAnswer | { ended: string } | 'timeout'> {
  const { promise, resolve } = Promise.withResolvers<HelperAnswer | { ended: string } | 'timeout'>()
  const onMessage = (message: unknown) => resolve(message as HelperAnswer)
  const onExit = (code: number | null, signal: string | null) => resolve({ ended: signal ?? `status ${code}` })
  const onError = (error: Error) => resolve({ ended: error.message })
  const timer = setTimeout(() => resolve('timeout'), timeoutMs)
  child.on('message', onMessage).on('exit', onExit).on('error', onError)
  try {
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode)
    return await promise
  } finally {
    clearTimeout(timer)
    child.off('message', onMessage).off('exit', onExit).off('error', onError)
  }
}
