// SERV with its register file in RAM, 2 bits wide (the package's default), without control and status
// registers. Its two buses are never busy together, so they share one memory port, acknowledged
// in the cycle after the request. A store to an address with bit 31 set ends the run.
`default_nettype none

module peer_top #(
    parameter WORDS = 2048
) (
    input  wire        clk,
    input  wire        rst,
    output reg         halted,
    output reg  [31:0] result
);
    wire        ibus_cyc, dbus_cyc, dbus_we;
    wire [31:0] ibus_adr, dbus_adr, dbus_dat, rdata;
    wire [3:0]  dbus_sel;
    wire [31:0] addr = ibus_cyc ? ibus_adr : dbus_adr;
    wire        store = dbus_cyc && dbus_we && !ibus_cyc;
    reg         ack;

    always @(posedge clk) begin
        ack <= (ibus_cyc || dbus_cyc) && !ack && !rst;
        if (store && addr[31]) begin
            halted <= 1'b1;
            result <= dbus_dat;
        end
        if (rst) halted <= 1'b0;
    end

    peer_memory #(.WORDS(WORDS)) memory (
        .clk(clk), .i_addr({$clog2(WORDS){1'b0}}), .i_rdata(),
        .d_addr(addr[2 +: $clog2(WORDS)]), .d_wdata(dbus_dat), .d_wmask(dbus_sel & {4{store && !addr[31]}}),
        .d_rdata(rdata)
    );

    serv_rf_top #(.WITH_CSR(0)) cpu (
        .clk(clk), .i_rst(rst), .i_timer_irq(1'b0),
        .o_ibus_adr(ibus_adr), .o_ibus_cyc(ibus_cyc), .i_ibus_rdt(rdata), .i_ibus_ack(ack && ibus_cyc),
        .o_dbus_adr(dbus_adr), .o_dbus_dat(dbus_dat), .o_dbus_sel(dbus_sel), .o_dbus_we(dbus_we),
        .o_dbus_cyc(dbus_cyc), .i_dbus_rdt(rdata), .i_dbus_ack(ack && !ibus_cyc),
        .o_ext_rs1(), .o_ext_rs2(), .o_ext_funct3(), .i_ext_rd(32'd0), .i_ext_ready(1'b0), .o_mdu_valid()
    );
endmodule
