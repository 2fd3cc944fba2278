// VexRiscv (whichever variant's file is compiled beside this one; all have these ports) with its two Wishbone
// buses on a memory of two ports, each beat acknowledged in the cycle after its request. A store to an address with
// bit 31 set ends the run; such addresses are outside the cacheable range of the variants with a data cache.
`default_nettype none

module peer_top #(
    parameter WORDS = 2048
) (
    input  wire        clk,
    input  wire        rst,
    output reg         halted,
    output reg  [31:0] result
);
    wire        i_cyc, i_stb, d_cyc, d_stb, d_we;
    wire [29:0] i_adr, d_adr;
    wire [31:0] i_rdata, d_rdata, d_wdata;
    wire [3:0]  d_sel;
    reg         i_ack, d_ack;
    wire        d_start = d_cyc && d_stb && !d_ack;
    wire        d_store = d_start && d_we;

    always @(posedge clk) begin
        i_ack <= i_cyc && i_stb && !i_ack && !rst;
        d_ack <= d_start && !rst;
        if (d_store && d_adr[29]) begin
            halted <= 1'b1;
            result <= d_wdata;
        end
        if (rst) halted <= 1'b0;
    end

    peer_memory #(.WORDS(WORDS), .FETCH_PORT(1)) memory (
        .clk(clk), .i_addr(i_adr[0 +: $clog2(WORDS)]), .i_rdata(i_rdata),
        .d_addr(d_adr[0 +: $clog2(WORDS)]), .d_wdata(d_wdata), .d_wmask(d_sel & {4{d_store && !d_adr[29]}}),
        .d_rdata(d_rdata)
    );

    VexRiscv cpu (
        .clk(clk), .reset(rst), .externalResetVector(32'd0),
        .timerInterrupt(1'b0), .softwareInterrupt(1'b0), .externalInterruptArray(32'd0),
        .iBusWishbone_CYC(i_cyc), .iBusWishbone_STB(i_stb), .iBusWishbone_ACK(i_ack), .iBusWishbone_ADR(i_adr),
        .iBusWishbone_DAT_MISO(i_rdata), .iBusWishbone_ERR(1'b0),
        .iBusWishbone_WE(), .iBusWishbone_DAT_MOSI(), .iBusWishbone_SEL(), .iBusWishbone_CTI(), .iBusWishbone_BTE(),
        .dBusWishbone_CYC(d_cyc), .dBusWishbone_STB(d_stb), .dBusWishbone_ACK(d_ack), .dBusWishbone_ADR(d_adr),
        .dBusWishbone_DAT_MISO(d_rdata), .dBusWishbone_ERR(1'b0),
        .dBusWishbone_WE(d_we), .dBusWishbone_DAT_MOSI(d_wdata), .dBusWishbone_SEL(d_sel), .dBusWishbone_CTI(),
        .dBusWishbone_BTE()
    );
endmodule
