// A mirror and nothing else, for bench/mirror.ts: tells on a line when every namespace has its Secret and it has looked at all of them again.
import { setTimeout as sleep } from 'node:timers/promises'
import { createRig } from '../test/mirror/rig.ts'

const [kubeconfig = '', count = '0'] = process.argv.slice(2)
const REGISTRY = 'registry.bench.example'
const rig = createRig({ kubeconfig, mirrors: [{ registries: [REGISTRY], namespaces: ['team-*'] }] })
rig.store(REGISTRY, 'first')
rig.start()
while (rig.results().length < Number(count) || rig.stale()) await sleep(50)
await rig.run(REGISTRY)
process.stdout.write('settled\n')
process.on('SIGTERM', async () => {
  await rig.close()
  process.exit(0)
})
