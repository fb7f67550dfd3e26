import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { isDigest } from '../../src/registry/digest.ts'
import { isRepository, isTag, parseReference } from '../../src/registry/reference.ts'

const f64 = `sha256:${'f'.repeat(64)}`

const valid: [input: string, host: string, repository: string, tag: string | undefined, digest?: string][] = [
  ['nginx', 'docker.io', 'library/nginx', 'latest'],
  ['user/app', 'docker.io', 'user/app', 'latest'],
  ['index.docker.io/ubuntu', 'docker.io', 'library/ubuntu', 'latest'],
  ['docker.io/user/app:1', 'docker.io', 'user/app', '1'],
  ['registry-1.docker.io/library/x', 'registry-1.docker.io', 'library/x', 'latest'],
  ['localhost/app', 'localhost', 'app', 'latest'],
  ['test:5000/repo', 'test:5000', 'repo', 'latest'],
  ['test.com:5000', 'docker.io', 'library/test.com', '5000'],
  ['192.168.1.1:5000/r:5050', '192.168.1.1:5000', 'r', '5050'],
  ['[::1]:5000/r', '[::1]:5000', 'r', 'latest'],
  ['reg.io/a__b/c---d/e.f_g', 'reg.io', 'a__b/c---d/e.f_g', 'latest'],
  ['LOCALDOMAIN/foo', 'LOCALDOMAIN', 'foo', 'latest'],
  ['lowercase:Uppercase', 'docker.io', 'library/lowercase', 'Uppercase'],
  [`reg.io/a:tag@${f64}`, 'reg.io', 'a', 'tag', f64],
  [`reg.io/a@${f64}`, 'reg.io', 'a', undefined, f64],
  [`reg.io/a@sha512:${'0'.repeat(128)}`, 'reg.io', 'a', undefined, `sha512:${'0'.repeat(128)}`],
  [`reg.io/${'a'.repeat(255)}`, 'reg.io', 'a'.repeat(255), 'latest'],
  [`docker.io/${'a'.repeat(64)}`, 'docker.io', `library/${'a'.repeat(64)}`, 'latest'],
  [`reg.io/a:${'t'.repeat(128)}`, 'reg.io', 'a', 't'.repeat(128)],
]

for (const [input, host, repository, tag, digest] of valid) {
  test(`the reference ${input.slice(0, 40)} is read as distribution reads it`, () => {
    assert.deepEqual(parseReference(input), { host, repository, tag, digest })
  })
}

const invalid: [input: string, code: string][] = [
  ['', 'NAME_INVALID'],
  ['foo.com:99999/a', 'NAMESPACE_INVALID'],
  ['foo.com:/a', 'NAMESPACE_INVALID'],
  ['reg_x.io/a', 'NAMESPACE_INVALID'],
  ['a'.repeat(64), 'NAME_INVALID'],
  ['https://github.com/d/d', 'NAMESPACE_INVALID'],
  ['docker/Docker', 'NAME_INVALID'],
  ['dock..er/x', 'NAMESPACE_INVALID'],
  ['a___b/c', 'NAME_INVALID'],
  ['reg.io//a', 'NAME_INVALID'],
  ['[fe80::1%eth0]:5000/r', 'NAMESPACE_INVALID'],
  ['[2001:db8::192.0.2.33]/d', 'NAMESPACE_INVALID'],
  ['reg.io/a:-t', 'TAG_INVALID'],
  ['reg.io/a:', 'TAG_INVALID'],
  [`reg.io/a:${'t'.repeat(129)}`, 'TAG_INVALID'],
  [`repo@sha256:${'f'.repeat(34)}`, 'DIGEST_INVALID'],
  [`repo@sha256:${'F'.repeat(64)}`, 'DIGEST_INVALID'],
  [`repo@md5:${'f'.repeat(32)}`, 'DIGEST_INVALID'],
  [`repo@${f64}@${f64}`, 'DIGEST_INVALID'],
  ['reg.io/../etc', 'NAME_INVALID'],
  ['reg.io/a%2fb', 'NAME_INVALID'],
  ['reg.io/a\n', 'NAME_INVALID'],
  ['reg.io/a:tag\n', 'TAG_INVALID'],
  [`reg.io/a@${f64}\n`, 'DIGEST_INVALID'],
  [`reg.io/${'a'.repeat(256)}`, 'NAME_INVALID'],
  ['a'.repeat(100_000), 'NAME_INVALID'],
]

for (const [input, code] of invalid) {
  test(`${JSON.stringify(input.slice(0, 40))} is no reference: ${code}`, () => {
    assert.throws(() => parseReference(input), { code })
  })
}

test('whatever comes in, a reference is read into valid parts or refused with a code', () => {
  const referenceish = fc.string({ unit: fc.constantFrom(...'aB0._-/:@[]%\n'), maxLength: 40 })
  fc.assert(
    fc.property(fc.oneof(fc.string(), referenceish), (text) => {
      try {
        const { repository, tag, digest } = parseReference(text)
        assert.ok(isRepository(repository.replace(/^library\//, '')))
        assert.ok(tag === undefined || isTag(tag))
        assert.ok(digest === undefined || isDigest(digest))
      } catch (error) {
        assert.ok(error instanceof RegcreddError && error.code !== 'INTERNAL', String(error))
      }
    }),
  )
})

test('a reference that is printed and read again is the same', () => {
  const segment = fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:[._]|__|--)[a-z0-9]{1,4}){0,2}$/)
  const repositories = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'))
  fc.assert(
    fc.property(repositories, fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}$/), (repository, tag) => {
      assert.deepEqual(parseReference(`reg.io:5000/${repository}:${tag}`), {
        host: 'reg.io:5000',
        repository,
        tag,
        digest: undefined,
      })
    }),
  )
})
