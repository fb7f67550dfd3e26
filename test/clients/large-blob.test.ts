import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { craftLarge } from '../helpers/crafted-image.ts'
import type { Daemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { memoryBytes } from '../helpers/process-memory.ts'
import { pushCrafted } from '../helpers/push-crafted.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { criPuller } from './containerd-pullers.ts'
import { skopeoPuller } from './containers-pullers.ts'
import type { Node, PullerKind } from './puller.ts'
import { startHtpasswdRegistry, startNode, type Upstream } from './upstreams.ts'

const HOST = 'three.corp.example'
const GIB = 2 ** 30
const kinds: PullerKind[] = [criPuller('containerd 2.4 by CRI', 'containerd-2'), skopeoPuller]
const skip = skipWithoutRootAnd(...kinds.flatMap(({ tools }) => tools)) || skipWithout('distribution', 'htpasswd')

let upstream: Upstream
let daemon: Daemon
let node: Node
let digest = ''

before(async () => {
  if (skip) return
  upstream = await startHtpasswdRegistry(HOST, 'distribution')
  digest = await pushCrafted(upstream.target, 'team/app', craftLarge('large', GIB))
  ;({ daemon, node } = await startNode([upstream]))
})

after(async () => {
  await daemon?.close()
  await upstream?.close()
})

describe('an image with a layer of 1 GiB', { skip }, () => {
  for (const { name, start } of kinds) {
    test(`${name} has the registry’s digest, and the daemon never had the layer in memory`, async (context) => {
      const puller = await start(node)
      context.after(() => puller.close())
      const seen = (await daemon.audit()).length
      const had = await puller.pull(`${HOST}/team/app:large`)
      assert.ok(had.includes(digest), `${digest} is not among ${had}`)
      const peakBytes = await memoryBytes(daemon.pid, 'VmHWM')
      assert.ok(peakBytes < GIB / 4, `${peakBytes} bytes`)
      // The end of a pull is written when the client has had it.
      await eventually('the record of it', async () => {
        const blobs = (await daemon.audit()).slice(seen).flatMap((record) => ('bytes' in record ? [record.bytes] : []))
        return blobs.includes(GIB + 512 + 1024)
      })
    })
  }
})
