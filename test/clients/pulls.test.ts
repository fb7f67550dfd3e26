import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Daemon } from '../helpers/daemon.ts'
import { skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { criPuller, ctrPuller } from './containerd-pullers.ts'
import { buildahPuller, podmanPuller, skopeoPuller } from './containers-pullers.ts'
import { cranePuller } from './crane-puller.ts'
import type { Node, Puller, PullerKind } from './puller.ts'
import {
  type ImageName,
  imageNames,
  pushImages,
  startHtpasswdRegistry,
  startNode,
  startTokenRegistry,
  type Upstream,
} from './upstreams.ts'

const allImages: readonly ImageName[] = imageNames
/** Runtimes and stores take no artifact for an image: the tools that copy do. */
const runnable = allImages.filter((name) => name !== 'artifact')
const kinds: [kind: PullerKind, images: readonly ImageName[]][] = [
  [criPuller('containerd 1.6 by CRI', 'containerd'), runnable],
  [ctrPuller('containerd 1.6 by ctr', 'containerd', 'ctr'), runnable],
  [criPuller('containerd 1.7 by CRI', 'containerd-1'), runnable],
  [ctrPuller('containerd 1.7 by ctr', 'containerd-1', 'ctr-1'), runnable],
  [criPuller('containerd 2.4 by CRI', 'containerd-2'), runnable],
  [ctrPuller('containerd 2.4 by ctr, transfer service', 'containerd-2', 'ctr-2'), runnable],
  [ctrPuller('containerd 2.4 by ctr --local', 'containerd-2', 'ctr-2', ['--local']), runnable],
  [skopeoPuller, allImages],
  [podmanPuller, runnable],
  [buildahPuller, runnable],
  [cranePuller, allImages],
]
/** The port is there for its spelling in the clients' files: `_5000_` and `_5000`. */
const registries: [what: string, start: () => Promise<Upstream>, images: readonly ImageName[]][] = [
  ['distribution 3, htpasswd', () => startHtpasswdRegistry('three.corp.example:5000', 'distribution'), allImages],
  [
    'docker-registry 2.8, htpasswd',
    () => startHtpasswdRegistry('two.corp.example', 'docker-registry'),
    ['single', 'docker-list'],
  ],
  ['docker-registry 2.8, ES256 tokens', () => startTokenRegistry('es.corp.example', 'ES256'), ['index']],
  ['docker-registry 2.8, RS256 tokens', () => startTokenRegistry('rs.corp.example', 'RS256'), ['single']],
]
const parts = skipWithout('docker-registry', 'distribution', 'htpasswd', 'openssl')

let upstreams: Upstream[] = []
let daemon: Daemon
let node: Node

before(async () => {
  if (parts) return
  upstreams = await Promise.all(registries.map(([, start]) => start()))
  await Promise.all(upstreams.map((upstream, index) => pushImages(upstream, registries[index]?.[2] ?? [])))
  ;({ daemon, node } = await startNode(upstreams))
})

after(async () => {
  await daemon?.close()
  for (const upstream of upstreams) await upstream.close()
})

for (const [{ name, tools, user, start }, images] of kinds) {
  const lacking = user === 'root' ? skipWithoutRootAnd(...tools) : skipWithout(...tools)
  describe(name, { skip: parts || lacking }, () => {
    let puller: Puller
    before(async () => {
      puller = await start(node)
    })
    after(() => puller?.close())

    for (const [index, [what, , held]] of registries.entries()) {
      for (const image of held.filter((one) => images.includes(one))) {
        test(`pulls ${image} of ${what}, and has the registry’s digest`, async () => {
          const { host, digests } = upstreams[index] as Upstream
          const had = await puller.pull(`${host}/team/app:${image}`)
          assert.ok(had.includes(digests.get(image) ?? ''), `${digests.get(image)} is not among ${had}`)
        })
      }
    }
  })
}
