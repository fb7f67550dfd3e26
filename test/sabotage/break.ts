/** One line of the source, broken, and the test that must fail then. */
export type Break = {
  name: string
  file: string
  /** The line as it stands, without its indentation; it must stand once in the file. */
  line: string
  instead: string
  testFile: string
  test: string
}
