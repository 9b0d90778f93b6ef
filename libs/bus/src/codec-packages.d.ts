declare module 'snappyjs' {
  const snappy: { uncompress(data: Buffer, maxLength: number): Buffer; compress(data: Buffer): Buffer };
  export default snappy;
}
