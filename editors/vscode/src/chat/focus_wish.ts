// The wish that a page takes the keyboard. It is granted once, as soon as there is a page that hears it: granted again, a
// moment later, it would take the keyboard from what the user has opened since.

export class FocusWish {
  private wished = false;
  private isThere = false;

  constructor(private readonly grant: () => void) {}

  make(): void {
    this.wished = true;
    this.grantIfThere();
  }

  pageCame(): void {
    this.isThere = true;
    this.grantIfThere();
  }

  pageWent(): void {
    this.isThere = false;
  }

  private grantIfThere(): void {
    if (!this.wished || !this.isThere) return;
    this.wished = false;
    this.grant();
  }
}
