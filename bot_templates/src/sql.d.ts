/** A named query of `sql/queries`, bundled as text. */
declare module '*.sql' {
  const statement: string;
  export default statement;
}
