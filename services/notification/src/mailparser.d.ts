/** The part of mailparser that the tests use; it comes without types. */
declare module 'mailparser' {
  export type ParsedMail = {
    subject?: string;
    text?: string;
    html: string | false;
    messageId?: string;
    to?: { value: { address: string; name: string }[] };
    from?: { text: string };
    headers: Map<string, unknown>;
  };
  export function simpleParser(source: NodeJS.ReadableStream): Promise<ParsedMail>;
}
