/**
 * Loaded into every test file (`--import`). Node waits for ever for a file that leaves a server or a timer behind, and --test-timeout
 * ends tests, not files: so a file that is done with its tests and does not end is ended here, with the names of what holds it. The time
 * is for the file's own `after` hooks too, which come later and stop what takes its time to stop.
 */
import { after } from 'node:test'

const PATIENCE_MS = 60_000

// Not in the process that runs the files.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  after(() => {
    const timer = setTimeout(() => {
      const held = process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap')
      process.stderr.write(`done for ${PATIENCE_MS / 1000} s and still running, held by: ${held.join(', ')}\n`)
      process.exit(1)
    }, PATIENCE_MS)
    timer.unref()
  })
}
