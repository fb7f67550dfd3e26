// Runs the acts, and ends whatever they started: at the end, on an error, on a signal, or when whoever watches goes away.
import assert from 'node:assert/strict'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheDir } from '../helpers/tools.ts'
import { showAudit } from './act-audit.ts'
import { showFleet } from './act-fleet.ts'
import { readMirror, showMirror } from './act-mirror.ts'
import { showPulls } from './act-pulls.ts'
import { showRefusal, showRegistry } from './act-registry.ts'
import { showRotation } from './act-rotation.ts'
import { showWithout } from './act-without.ts'
import { startOwnCluster, useCluster } from './cluster.ts'
import { type Kept, keepRunning } from './keep.ts'
import { mountsIn, processesOf } from './left-behind.ts'
import type { Message, StageOptions } from './options.ts'
import { findParts, realParts, standIns } from './parts.ts'
import { makePasswords, type Scene, type Stand } from './scene.ts'
import { createScreen, reasonsOf } from './screen.ts'
import { openWorkbench } from './workbench.ts'

const MAX_TMPDIR = 40

const options: StageOptions = JSON.parse(process.argv[2] ?? '{}')
const stop = new AbortController()
let isKept = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
process.on('disconnect', () => {
  if (!isKept) stop.abort()
})
const code = await perform()
if (process.connected) process.disconnect?.()
process.exit(code)

async function perform(): Promise<number> {
  const startedMs = performance.now()
  const folder = await makeFolder()
  const write = (text: string) => send({ text })
  const screen = createScreen(write, options, stop.signal)
  const stack = new AsyncDisposableStack()
  let failure: unknown
  let kept: Kept | undefined
  let scene: Scene | undefined
  stop.signal.addEventListener('abort', () => screen.text('\nInterrupted: stopping what runs.'))
  try {
    scene = await setScene(folder, screen, stack)
    const stand = await play(scene)
    if (options.keep) kept = await keepRunning(scene, stand)
  } catch (thrown) {
    failure = thrown
  }
  if (kept !== undefined) {
    isKept = true
    send({ kept: true })
    await Promise.race([kept.asked, new Promise((resolve) => stop.signal.addEventListener('abort', resolve))])
  }
  const ending = createScreen(write, options, new AbortController().signal)
  try {
    ending.heading('The end')
    await ending.step('stopping everything', () => clearAway(folder, stack))
  } catch (thrown) {
    failure ??= thrown
  }
  await kept?.answer()
  if (stop.signal.aborted) return 130
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  if (failure !== undefined) {
    write(`\n${screen.paint('red', `The demo failed after ${seconds} s`)}: ${reasonsOf(failure)[0]}\n`)
    return 1
  }
  const held = screen.paint('green', `All ${screen.held()} steps held`)
  const lacking = scene === undefined ? [] : standIns(scene.parts)
  if (lacking.length > 0) write(`\nNot the real part here, see each – above: ${lacking.join(', ')}.`)
  write(`\n${held}, in ${seconds} s. What stays is the cache of parts for the next run: ${cacheDir()}\n`)
  write('To play with it yourself: npm run demo -- --keep\n')
  return 0
}

async function setScene(folder: string, screen: Scene['screen'], stack: AsyncDisposableStack): Promise<Scene> {
  const parts = findParts()
  const { kubeconfig } = options
  const hasCluster = kubeconfig !== undefined || !parts['kube-apiserver']
  const cluster = kubeconfig !== undefined ? useCluster(kubeconfig) : hasCluster ? startOwnCluster() : undefined
  // Where it fails, the act that waits for it says so.
  const settled = cluster?.catch(() => undefined)
  stack.defer(async () => (await settled)?.close())
  const workbench = await openWorkbench(folder)
  return {
    options,
    parts,
    screen,
    workbench,
    stack,
    passwords: makePasswords(),
    cluster: cluster ?? Promise.resolve(undefined),
    signal: stop.signal,
  }
}

function open({ screen, parts, workbench }: Scene): void {
  screen.heading('regcredd at work: a private image, pulled on a node that has no password')
  screen.text('Everything that follows is started for this and runs on this machine; Ctrl-C ends it at any time.\n')
  screen.text(`  real parts   ${[...realParts(parts), `Node ${process.versions.node}`].join(', ')}`)
  screen.text(`  all in       ${workbench.folder}`)
}

async function play(scene: Scene): Promise<Stand> {
  open(scene)
  const { registry, digest } = await showRegistry(scene)
  const puller = await showRefusal(scene, registry)
  const daemon = await showPulls(scene, { registry, digest, puller })
  const stand = { registry, digest, puller, daemon }
  const before = await readMirror(scene, scene.passwords.first)
  await showRotation(scene, stand)
  const after = await readMirror(scene, scene.passwords.second)
  await showMirror(scene, { before, after })
  await showAudit(scene, stand)
  await showFleet(scene)
  await showWithout(scene, stand)
  return stand
}

/** Everything that the demo and its parts write lies in one folder. */
async function makeFolder(): Promise<string> {
  // A unix socket's path may be 104 bytes long, and macOS's folder for temporary files takes half of that.
  const parent = tmpdir().length > MAX_TMPDIR ? '/tmp' : tmpdir()
  const folder = await mkdtemp(join(await realpath(parent), 'regcredd-demo-'))
  process.env['TMPDIR'] = folder
  return folder
}

async function clearAway(folder: string, stack: AsyncDisposableStack): Promise<string> {
  await stack.disposeAsync()
  assert.deepEqual(await processesOf(folder), [], 'processes are left')
  assert.deepEqual(await mountsIn(folder), [], 'mounts are left')
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  return `stopped everything that was started, and removed ${folder}`
}

function send(message: Message): void {
  if (process.connected) process.send?.(message)
}
