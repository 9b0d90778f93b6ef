import { CookieJar } from 'tough-cookie';
import { Agent, request } from 'undici';

/** A page as a browser got it. */
export type Page = {
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
};

export type Sent = { readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

/** A person's browser, as far as logging in needs one: it keeps cookies as browsers do, follows redirects, fills in a form; no scripts. */
export type TestBrowser = AsyncDisposable & {
  readonly jar: CookieJar;
  /** One request as a page of that host would make it, with its cookies; no redirect is followed. */
  send(method: string, url: string, sent?: Sent): Promise<Page>;
  /** Goes to an address and where that leads to, up to 20 redirects on, but not into an address that begins with `stopAt`. */
  open(url: string, stopAt?: string): Promise<Page>;
  /** Sends the first form of a page with these fields, and goes where that leads to. */
  submit(page: Page, fields: Readonly<Record<string, string>>, stopAt?: string): Promise<Page>;
  /** Cookies that the browser would send to an address, by name. */
  cookies(url: string): Promise<Record<string, string>>;
};

export type TestBrowserOptions = {
  /** Certificate of an authority to trust, PEM. */
  readonly ca?: string | Buffer;
  /** Where an origin really is, for names that no resolver knows; may change while the browser is open. */
  readonly origins?: ReadonlyMap<string, string>;
};

/** A browser with no cookies yet. A navigation that another site begins brings no strict cookies, as in real ones. */
export function testBrowser(options: TestBrowserOptions = {}): TestBrowser {
  const jar = new CookieJar(undefined, { prefixSecurity: 'strict', rejectPublicSuffixes: false });
  const agent = new Agent({ connect: options.ca === undefined ? {} : { ca: options.ca } });

  const send = async (method: string, url: string, { headers = {}, body }: Sent, context: 'strict' | 'lax' | 'none'): Promise<Page> => {
    const { origin } = new URL(url);
    const real = url.replace(origin, options.origins?.get(origin) ?? origin);
    const cookie = await jar.getCookieString(url, { sameSiteContext: context });
    const answer = await request(real, {
      method: method as 'GET',
      headers: { ...(cookie === '' ? {} : { cookie }), ...headers },
      dispatcher: agent,
      ...(body === undefined ? {} : { body }),
    });
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) await jar.setCookie(line, url, { sameSiteContext: context });
    return { url, status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  };

  const follow = async (first: Page, stopAt: string | undefined): Promise<Page> => {
    let page = first;
    let context: 'strict' | 'lax' = 'strict';
    for (let hops = 0; page.status >= 300 && page.status < 400; hops += 1) {
      const url = new URL(String(page.headers.location), page.url);
      if (hops === 20) throw new Error(`Too many redirects, the last one to ${url.origin}${url.pathname}.`);
      if (stopAt !== undefined && url.href.startsWith(stopAt)) return page;
      if (url.hostname !== new URL(page.url).hostname) context = 'lax';
      page = await send('GET', url.href, {}, context);
    }
    return page;
  };

  return {
    jar,
    send: (method, url, sent = {}) => send(method, url, sent, 'strict'),
    open: async (url, stopAt) => follow(await send('GET', url, {}, 'strict'), stopAt),
    async submit(page, fields, stopAt) {
      const action = /<form[^>]*\saction="([^"]+)"/.exec(page.text)?.[1]?.replaceAll('&amp;', '&');
      if (action === undefined) throw new Error(`The page at ${page.url} has no form: ${page.status} ${page.text.slice(0, 300)}`);
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const body = new URLSearchParams(fields).toString();
      return follow(await send('POST', new URL(action, page.url).href, { headers, body }, 'strict'), stopAt);
    },
    cookies: async (url) => Object.fromEntries((await jar.getCookies(url)).map(({ key, value }) => [key, value])),
    [Symbol.asyncDispose]: () => agent.close(),
  };
}
