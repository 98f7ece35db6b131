/** The fetch that Medplum 5.1.3 gives to bots; its own types are a package of their own. */
declare module 'node-fetch' {
  const fetch: typeof globalThis.fetch;
  export default fetch;
}
