import { describe, expect, it } from 'vitest';
import { loadTemplates, locales } from './templates.ts';

const templates = loadTemplates();

describe('rendering', () => {
  it('fills subject, text and page in each language', () => {
    const data = { name: 'Maria', username: 'maria.silva' };
    expect(templates.render('welcome', 'pt-BR', data)).toMatchObject({ subject: 'Boas-vindas à Biz Retail, Maria' });
    const english = templates.render('welcome', 'en', data);
    expect(english.subject).toBe('Welcome to Biz Retail, Maria');
    expect(english.text).toContain('Your user name is maria.silva.');
    expect(english.html).toContain('<html lang="en">');
    expect(english.html).not.toContain('href');
    expect(templates.render('welcome', 'en', { ...data, url: 'https://localhost:8443' }).html).toContain('href="https://localhost:8443"');
  });

  it('escapes in the page what is plain in the text', () => {
    const { text, html } = templates.render('message', 'en', { subject: 'Hi', body: '<script>alert("x")</script> {{name}}' });
    expect(text).toContain('<script>alert("x")</script> {{name}}');
    expect(html).toContain('&lt;script&gt;');
    expect(html).not.toContain('<script>');
  });

  it('keeps a subject to one line and drops control characters', () => {
    const { subject, text } = templates.render('message', 'en', {
      subject: 'Hi\r\nBcc: everyone@example.com\u2028x',
      body: 'a\u001b[31mred\u0000\nnext',
    });
    expect(subject).toBe('Hi Bcc: everyone@example.com x');
    expect(text).toContain('a[31mred\nnext');
  });
});

describe('variables', () => {
  const paths = (name: string, data: unknown) => templates.faults(name, data).map((fault) => fault.path);

  it('are told when missing, unknown, too long or of another type', () => {
    expect(paths('message', { subject: 'x', body: 'y' })).toEqual([]);
    expect(paths('message', { subject: '' })).toEqual(['/data/subject', '/data/body']);
    expect(paths('message', { subject: 'x'.repeat(201), body: 7, 'a/b': '' })).toEqual(['/data/subject', '/data/body', '/data/a~1b']);
    expect(paths('message', null)).toEqual(['/data']);
    expect(paths('message', JSON.parse('{"__proto__":{"subject":"x"},"body":"y"}'))).toEqual(['/data/subject', '/data/__proto__']);
    expect(paths('welcome', { name: 'x', username: 'y' })).toEqual([]);
  });

  it('are of a template that exists', () => {
    expect(templates.faults('nope', {})).toEqual([{ path: '/template', message: 'is not one of message, security_alert, welcome' }]);
  });

  it('are the same in every language, and all are named in the manifest', () => {
    for (const name of templates.names) {
      const filled = Object.fromEntries(['name', 'username', 'subject', 'body', 'url'].map((variable) => [variable, `<${variable}>`]));
      for (const locale of locales) expect(() => templates.render(name, locale, filled)).not.toThrow();
    }
  });
});

it('tells of a security alert in both languages', () => {
  const data = {
    ...{ rule: 'Failed logins of one user', kind: 'failed_logins', severity: 'WARNING', count: '5', window_seconds: '300' },
    ...{ first_at: '2026-11-21T12:00:00Z', last_at: '2026-11-21T12:01:00Z', alert_id: 'a-1' },
  };
  expect(templates.faults('security_alert', data)).toEqual([]);
  for (const locale of locales) {
    const { subject, text, html } = templates.render('security_alert', locale, data);
    expect(subject).toContain('Failed logins of one user');
    for (const part of [text, html]) expect(part).toMatch(/5[\s\S]*300[\s\S]*a-1/);
  }
});
