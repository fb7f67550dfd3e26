import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { countUp, passwordOf, sample, stateOf } from './sample.ts'

export type Opened = {
  keychain: Keychain
  /** Opens the same store anew, as a restarted daemon would. */
  reopen(): Promise<Keychain>
}

const KEY = 'registry.corp.example'

export type Store = {
  name: string
  /** A reason, where the real part that this store needs cannot be had. */
  skip?: string | false
  durable: boolean
  /** Gives an empty store, and cleans up after the test. */
  open(t: TestContext): Promise<Opened>
}

/** What every store must do. */
export function describeKeychain({ name, skip = false, durable, open }: Store): void {
  describe(`a keychain in ${name}`, { skip }, () => {
    it('is ready and empty at first', async (t) => {
      const { keychain } = await open(t)
      assert.equal(await stateOf(keychain), 'ready')
      assert.deepEqual(await keychain.keys(), [])
      assert.equal(await keychain.get(KEY), undefined)
    })

    it('gives back all fields of a credential as they were stored', async (t) => {
      const { keychain } = await open(t)
      const first = sample(KEY, 'old').versions
      const second = sample(KEY, 'new').versions.map((version) => ({ ...version, id: 'v2', email: 'ci@corp.example' }))
      const stored = {
        ...sample(KEY),
        seq: 7,
        pending: 'v2',
        versions: [...first, ...second],
        rotations: [
          {
            id: 'r1',
            state: 'STAGED' as const,
            version: 'v2',
            deadline: '2026-01-03T00:00:00Z',
            startedAt: '2026-01-02T00:00:00Z',
            endedAt: undefined,
            code: undefined,
            idempotencyKey: 'k',
            bodyHash: 'h',
          },
        ],
      }
      assert.deepEqual(await keychain.update(KEY, () => stored), stored)
      const read = await keychain.get(KEY)
      assert.deepEqual(read, stored)
      assert.deepEqual(
        read?.versions.map((version) => version.secret.reveal()),
        ['old', 'new'],
      )
    })

    it('keeps awkward passwords to the byte', async (t) => {
      const { keychain } = await open(t)
      const awkward = ['', 'a\0b', 'grüße 🔑 漢字', '"\\\r\n\u2028', '\ud800 alone', 'x'.repeat(64 * 1024)]
      for (const password of awkward) {
        await keychain.update(KEY, () => sample(KEY, password, password))
        const read = await keychain.get(KEY)
        assert.equal(passwordOf(read), password)
        assert.equal(read?.versions[0]?.username, password)
      }
    })

    it('lists keys sorted, with ports and paths, and holds many', async (t) => {
      const { keychain } = await open(t)
      const many = Array.from({ length: 40 }, (_, index) => `registry-${index}.example:5000/group/project-${index}`)
      const keys = [...many, 'a.example', 'a.example/b', 'a.example/b/c', 'zz.example', '[::1]:5000', '__proto__']
      for (const key of keys) await keychain.update(key, () => sample(key, `of ${key}`))
      assert.deepEqual(await keychain.keys(), [...keys].sort())
      for (const key of keys) assert.equal(passwordOf(await keychain.get(key)), `of ${key}`)
      assert.equal(await keychain.get('a.example/'), undefined)
    })

    it('loses none of fifty updates at one time', async (t) => {
      const { keychain } = await open(t)
      await Promise.all(Array.from({ length: 50 }, () => keychain.update(KEY, countUp(KEY))))
      assert.equal((await keychain.get(KEY))?.seq, 50)
    })

    it('loses none of the updates of different keys at one time', async (t) => {
      const { keychain } = await open(t)
      const keys = Array.from({ length: 10 }, (_, index) => `r${index}.example`)
      await Promise.all(keys.map((key) => keychain.update(key, countUp(key))))
      assert.deepEqual(await keychain.keys(), keys)
    })

    it('writes nothing when the change throws, and goes on working', async (t) => {
      const { keychain } = await open(t)
      await keychain.update(KEY, () => sample(KEY, 'kept'))
      const thrown = new Error('no')
      const failing = keychain.update(KEY, () => {
        throw thrown
      })
      await assert.rejects(failing, (error) => error === thrown)
      const failingForNew = keychain.update('new.example', () => {
        throw thrown
      })
      await assert.rejects(failingForNew, (error) => error === thrown)
      assert.equal(passwordOf(await keychain.get(KEY)), 'kept')
      assert.deepEqual(await keychain.keys(), [KEY])
      assert.equal((await keychain.update(KEY, countUp(KEY)))?.seq, 2)
    })

    it('deletes a credential when the change gives none', async (t) => {
      const { keychain } = await open(t)
      await keychain.update(KEY, () => sample(KEY))
      await keychain.update('other.example', () => sample('other.example'))
      assert.equal(await keychain.update(KEY, () => undefined), undefined)
      assert.equal(await keychain.get(KEY), undefined)
      assert.deepEqual(await keychain.keys(), ['other.example'])
      assert.equal(await keychain.update('never.example', () => undefined), undefined)
      await keychain.update(KEY, () => sample(KEY, 'again'))
      assert.equal(passwordOf(await keychain.get(KEY)), 'again')
    })

    it('goes on with seq and version numbers where a deleted credential left them, and lists nothing of it', async (t) => {
      const { keychain } = await open(t)
      await keychain.update(KEY, () => ({ ...sample(KEY), seq: 7 }))
      for (const [seq, version] of [
        [9, 'v2'],
        [11, 'v3'],
      ] as const) {
        assert.equal(await keychain.update(KEY, () => undefined), undefined)
        assert.deepEqual(
          [await keychain.get(KEY), await keychain.keys(), (await keychain.all()).size],
          [undefined, [], 0],
        )
        assert.equal(
          await keychain.update(KEY, (stored) => stored),
          undefined,
          'nothing is stored, and nothing is deleted twice',
        )
        const again = await keychain.update(KEY, (stored) => {
          assert.equal(stored, undefined)
          return sample(KEY, `of ${version}`)
        })
        assert.deepEqual([again?.seq, again?.current, again?.versions[0]?.id], [seq, version, version])
        assert.deepEqual(again, await keychain.get(KEY))
      }
      assert.equal((await keychain.update('other.example', () => sample('other.example')))?.seq, 1)
    })

    it('gives all credentials at one go', async (t) => {
      const { keychain } = await open(t)
      const keys = Array.from({ length: 40 }, (_, index) => `r${index}.example`)
      for (const key of keys) await keychain.update(key, () => sample(key, `of ${key}`))
      await keychain.update('r0.example', () => undefined)
      const all = await keychain.all()
      assert.deepEqual([...all.keys()].sort(), keys.slice(1).sort())
      for (const [key, read] of all) assert.equal(read instanceof Error ? read : passwordOf(read), `of ${key}`)
    })

    it('shares no object with who wrote or read it', async (t) => {
      const { keychain } = await open(t)
      const written = sample(KEY)
      await keychain.update(KEY, () => written)
      written.seq = 99
      const read = await keychain.get(KEY)
      assert.equal(read?.seq, 1)
      if (read !== undefined) read.seq = 98
      assert.equal((await keychain.get(KEY))?.seq, 1)
    })

    it('takes over what another holds as it is, after a deletion too, and tells of deletions', async (t) => {
      const { keychain } = await open(t)
      await keychain.update(KEY, () => ({ ...sample(KEY), seq: 4 }))
      await keychain.update(KEY, () => undefined)
      const theirs = { ...sample(KEY, 'theirs'), seq: 9 }
      let seen: unknown
      await keychain.replicate(KEY, (stored) => {
        seen = stored
        return { credential: theirs }
      })
      assert.deepEqual(seen, { tombstone: { seq: 5, version: 1 } })
      assert.deepEqual(await keychain.get(KEY), theirs)
      assert.deepEqual(await keychain.replicate(KEY, () => undefined), { credential: theirs })
      await keychain.replicate(KEY, () => ({ tombstone: { seq: 12, version: 3 } }))
      assert.equal(await keychain.get(KEY), undefined)
      assert.equal((await keychain.update(KEY, () => sample(KEY)))?.seq, 13)
    })

    it('refuses a credential that it could not read back', async (t) => {
      const { keychain } = await open(t)
      const dangling = { ...sample(KEY, 'canary-4711'), current: 'v9' }
      await assert.rejects(
        keychain.update(KEY, () => dangling),
        (error: Error) => !`${error.stack}${error.cause}`.includes('canary'),
      )
      await assert.rejects(keychain.update(KEY, () => sample('another.example')))
      assert.deepEqual(await keychain.keys(), [])
    })

    if (durable) {
      it('shows what was written to a process that opens it anew', async (t) => {
        const { keychain, reopen } = await open(t)
        await keychain.update(KEY, () => sample(KEY, 'durable'))
        await keychain.update('gone.example', () => sample('gone.example'))
        await keychain.update('gone.example', () => undefined)
        await keychain.close()
        const again = await reopen()
        assert.deepEqual(await again.keys(), [KEY])
        assert.equal(passwordOf(await again.get(KEY)), 'durable')
      })
    }
  })
}
