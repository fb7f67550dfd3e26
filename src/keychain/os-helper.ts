import { writeFileSync } from 'node:fs'

/** What the daemon asks of this process, over its IPC channel, one after the other. `text` is a whole item, passwords and all. */
export type HelperRequest =
  | { do: 'get' | 'delete'; service: string; account: string }
  | { do: 'getMany'; service: string; accounts: string[] }
  | { do: 'set'; service: string; account: string; text: string }

export type HelperAnswer =
  | { loaded: true }
  | { loaded: false; missing: boolean; reason: string }
  | { texts: (string | null)[] }
  | { reason: string }

type Keytar = typeof import('keytar')

// A process of its own, because a locked or dead keyring hangs or crashes whoever speaks to it: keytar's calls block threads of
// libuv's pool, 25 s each, and files would be read no more. It ends with the daemon's channel, and when the daemon kills it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  // These go to the whole group or unit; while the daemon drains, it may still have something to store.
  process.on(signal, () => undefined)
}
keepOutOfCores()
const keytar = await load()
if (keytar !== undefined) {
  process.on('message', (request: HelperRequest) => {
    void answer(keytar, request).then(send)
  })
  send({ loaded: true })
}

async function load(): Promise<Keytar | undefined> {
  try {
    return (await import('keytar')).default
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
    send({ loaded: false, missing, reason: String(error) })
    return undefined
  }
}

/** Never findCredentials: an item of the same service without an `account` attribute makes it crash. */
async function answer(keytar: Keytar, request: HelperRequest): Promise<HelperAnswer> {
  const { service } = request
  try {
    if (request.do === 'getMany') {
      return { texts: await Promise.all(request.accounts.map((account) => keytar.getPassword(service, account))) }
    }
    const { account } = request
    if (request.do === 'get') return { texts: [await keytar.getPassword(service, account)] }
    if (request.do === 'set') await keytar.setPassword(service, account, request.text)
    else await keytar.deletePassword(service, account)
    return { texts: [null] }
  } catch (error) {
    return { reason: error instanceof Error ? error.message : 'unknown' }
  }
}

function send(message: HelperAnswer): void {
  process.send?.(message)
}

/** A native crash could leave a core; with this filter it holds no memory (core(5)). */
function keepOutOfCores(): void {
  if (process.platform === 'linux') writeFileSync('/proc/self/coredump_filter', '0')
}
