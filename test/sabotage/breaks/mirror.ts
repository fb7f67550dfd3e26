import type { Break } from '../break.ts'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are lines of source as text
export const breaks: Break[] = [
  {
    name: 'mirror: the compare-and-swap',
    file: 'src/mirror/cluster.ts',
    line: '...base,',
    instead: '',
    testFile: 'test/mirror/cluster.test.ts',
    test: 'an update of a Secret that has changed since it was read is refused, although it is forced',
  },
  {
    name: "mirror: the owner's signs",
    file: 'src/mirror/plan.ts',
    line: 'if (found !== undefined && !isOurs(found.labels, found.annotations)) return foreign(found)',
    instead: 'if (found === null) return foreign(found)',
    testFile: 'test/mirror/mirror.test.ts',
    test: 'a foreign Secret is left alone until a person hands it over, and is then taken in place',
  },
  {
    name: 'mirror: the later version wins',
    file: 'src/mirror/plan.ts',
    line: 'if (ahead !== undefined) return refuseOlder(ahead.key, ahead.mark, marks)',
    instead: '',
    testFile: 'test/mirror/plan.test.ts',
    test: 'a later version than ours is never overwritten',
  },
  {
    name: 'mirror: a missing credential keeps its entry',
    file: 'src/mirror/plan.ts',
    line: 'const kept = wanted.missing.filter((key) => marks.has(key))',
    instead: 'const kept: string[] = []',
    testFile: 'test/mirror/plan.test.ts',
    test: 'a credential that went missing keeps its entry while the others are rotated',
  },
  {
    name: "mirror: no word of the server's answer",
    file: 'src/mirror/fault.ts',
    line: "return typeof reason === 'string' && /^[A-Za-z]{1,40}$/.test(reason) ? reason : undefined",
    instead: "return typeof reason === 'string' ? reason : undefined",
    testFile: 'test/mirror/faults.test.ts',
    test: 'no detail quotes what the server sent: a reason that is no word',
  },
  {
    name: 'mirror: one after the other for one Secret',
    file: 'src/mirror/mirror.ts',
    line: 'const done = one.turn.then(task)',
    instead: 'const done = task()',
    testFile: 'test/mirror/mirror.test.ts',
    test: 'many rotations at once and a resync end with the newest password, without a failure',
  },
  {
    name: 'mirror: keychain unreadable',
    file: 'src/mirror/mirror.ts',
    line: "return failed(name, fault('refused', `${code}: ${message}; nothing was written`))",
    instead: 'return await applyWanted({ cluster, time }, name, { logins: [], missing: [] }, signal)',
    testFile: 'test/mirror/mirror.test.ts',
    test: 'an unreadable keychain writes nothing, and neither does an empty one',
  },
  {
    name: 'daemon: the mirror catches up',
    file: 'src/mirror/keep-up.ts',
    line: 'one.retryAtMs = time.now().getTime() + pauseMs',
    instead: 'one.retryAtMs = undefined',
    testFile: 'test/daemon/kubernetes-faults.test.ts',
    test: 'while the API server is away pulls and rotations go on, the mirror says that it is stale, and it catches up by itself',
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above
